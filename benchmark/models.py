"""Models of ComfyUI's own classes with random weights, small to full size, and prompts and concepts for them."""

import math
from dataclasses import dataclass

import comfy.ldm.flux.model
import comfy.ldm.modules.diffusionmodules.mmdit
import comfy.ops
import comfy.sd
import torch

from ..concept_core.concepts.concepts import Concepts


@dataclass(frozen=True)
class Size:
    """hidden: width of a token, 128 per head in Flux; SD3's is 64 · depth. prompt: tokens. side: of the picture, in pixels."""

    family: str
    hidden: int
    depth: int
    single: int
    prompt: int
    context: int
    pooled: int
    side: int
    dtype: torch.dtype


SIZES = {
    "flux-small": Size("flux", 256, 3, 2, 32, 64, 32, 128, torch.float32),
    "sd3-small": Size("sd3", 256, 4, 0, 32, 64, 32, 128, torch.float32),
    "flux-medium": Size("flux", 1024, 6, 6, 256, 4096, 768, 512, torch.float32),
    "sd3-medium": Size("sd3", 1024, 16, 0, 154, 4096, 2048, 512, torch.float32),
    "flux-dev": Size("flux", 3072, 19, 38, 512, 4096, 768, 1024, torch.bfloat16),
    "sd35-large": Size("sd3", 2432, 38, 0, 154, 4096, 2048, 1024, torch.bfloat16),
}


def build(size: Size):
    """A MODEL through ComfyUI's loader."""
    skeleton = (_flux if size.family == "flux" else _sd3)(size)
    shapes = {name.replace("_norm.weight", "_norm.scale"): tensor.shape for name, tensor in skeleton.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    weights = {name: _random(name, shape, size.dtype, generator) for name, shape in shapes.items()}
    return comfy.sd.load_diffusion_model_state_dict(weights, model_options={"dtype": size.dtype})


def _flux(size):
    return comfy.ldm.flux.model.Flux(
        in_channels=16, out_channels=16, vec_in_dim=size.pooled, context_in_dim=size.context, hidden_size=size.hidden, mlp_ratio=4.0,
        num_heads=size.hidden // 128, depth=size.depth, depth_single_blocks=size.single, axes_dim=[16, 56, 56], theta=10000,
        patch_size=2, qkv_bias=True, guidance_embed=True, txt_ids_dims=[], dtype=torch.float32, device="meta",
        operations=comfy.ops.disable_weight_init,
    )  # fmt: skip


def _sd3(size):
    return comfy.ldm.modules.diffusionmodules.mmdit.MMDiT(
        input_size=None, in_channels=16, depth=size.hidden // 64, adm_in_channels=size.pooled, qk_norm="rms", pos_embed_max_size=None,
        context_embedder_config={"target": "torch.nn.Linear", "params": {"in_features": size.context, "out_features": size.hidden}},
        dtype=torch.float32, device="meta", operations=comfy.ops.disable_weight_init,
    )  # fmt: skip


def _random(name, shape, dtype, generator):
    if len(shape) < 2:
        return (
            torch.ones(shape, dtype=dtype)
            if name.endswith((".scale", "norm.weight")) or ".ln_" in name
            else torch.zeros(shape, dtype=dtype)
        )
    return torch.randn(shape, generator=generator, dtype=torch.float32).mul_(1 / math.sqrt(math.prod(shape[1:]))).to(dtype)


def prompt(size: Size, seed: int):
    """A CONDITIONING."""
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(1, size.prompt, size.context, generator=generator)
    return [[context, {"pooled_output": torch.randn(1, size.pooled, generator=generator)}]]


def concepts(size: Size, number: int, tokens: int) -> Concepts:
    """So many concepts of so many tokens each."""
    share = torch.eye(number).repeat_interleave(tokens, 1) / tokens
    embeddings = torch.randn(number * tokens, size.context, generator=torch.Generator().manual_seed(9))
    encoder = "t5" if size.family == "flux" else "clip"
    return Concepts(tuple(f"concept {n}" for n in range(number)), number, encoder, embeddings, share)
