"""Models of ComfyUI's own classes with random weights, small to full size, and prompts and concepts for them."""

import math
from dataclasses import dataclass

import comfy.ldm.flux.model
import comfy.ldm.modules.diffusionmodules.mmdit
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models
import torch

from ..concept_core.concepts.concepts import Concepts


@dataclass(frozen=True)
class Size:
    """hidden: width of a token, 128 per head in Flux; SD3's is 64 · depth; SDXL's of the finest level. prompt: tokens. side: of the
    picture, in pixels. channels, frames: of a latent."""

    family: str
    hidden: int
    depth: int
    single: int
    prompt: int
    context: int
    pooled: int
    side: int
    dtype: torch.dtype
    channels: int = 16
    frames: tuple[int, ...] = ()


SIZES = {
    "flux-small": Size("flux", 256, 3, 2, 32, 64, 32, 128, torch.float32),
    "sd3-small": Size("sd3", 256, 4, 0, 32, 64, 32, 128, torch.float32),
    "sdxl-small": Size("sdxl", 64, 1, 0, 77, 64, 32, 128, torch.float32, channels=4),
    "flux-medium": Size("flux", 1024, 6, 6, 256, 4096, 768, 512, torch.float32),
    "sd3-medium": Size("sd3", 1024, 16, 0, 154, 4096, 2048, 512, torch.float32),
    "z-image-medium": Size("z-image", 1024, 8, 0, 64, 2560, 0, 512, torch.float32),
    "krea2-medium": Size("krea2", 1024, 8, 0, 64, 12 * 320, 0, 512, torch.float32, frames=(1,)),
    "sdxl-medium": Size("sdxl", 128, 4, 0, 77, 2048, 1280, 512, torch.float32, channels=4),
    "flux-dev": Size("flux", 3072, 19, 38, 512, 4096, 768, 1024, torch.bfloat16),
    "sd35-large": Size("sd3", 2432, 38, 0, 154, 4096, 2048, 1024, torch.bfloat16),
}


def build(size: Size):
    """A MODEL through ComfyUI's loader; of families that it does not know at such sizes, ComfyUI's own class."""
    if size.family in UNDETECTED:
        return _undetected(size)
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


UNDETECTED = {
    "z-image": lambda size: comfy.supported_models.ZImage(
        dict(
            image_model="lumina2", patch_size=2, in_channels=16, dim=size.hidden, n_heads=size.hidden // 128, n_layers=size.depth,
            cap_feat_dim=size.context, axes_dims=[32, 48, 48], axes_lens=[1536, 512, 512], rope_theta=256.0, ffn_dim_multiplier=8 / 3,
            qk_norm=True, z_image_modulation=True, time_scale=1000.0, pad_tokens_multiple=32,
        )
    ),
    "krea2": lambda size: comfy.supported_models.Krea2(
        dict(
            image_model="krea2", features=size.hidden, heads=size.hidden // 128, kvheads=size.hidden // 512, layers=size.depth,
            txtlayers=12, txtdim=size.context // 12, txtheads=size.context // 12 // 32, txtkvheads=size.context // 12 // 32,
        )
    ),
    "sdxl": lambda size: comfy.supported_models.SDXL(
        dict(
            image_size=32, in_channels=4, out_channels=4, model_channels=size.hidden, channel_mult=[1, 2, 4], num_res_blocks=[2] * 3,
            transformer_depth=[0, 0, 2, 2, size.depth, size.depth], transformer_depth_middle=size.depth,
            transformer_depth_output=[0] * 3 + [2] * 3 + [size.depth] * 3, use_linear_in_transformer=True, use_spatial_transformer=True,
            context_dim=size.context, num_classes="sequential", adm_in_channels=size.pooled + 1536, legacy=False, use_checkpoint=False,
            use_temporal_attention=False, use_temporal_resblock=False,
        )
    ),
}  # fmt: skip


def _undetected(size):
    config = UNDETECTED[size.family](size)
    config.set_inference_dtype(size.dtype, None)
    model = config.get_model({}, "", device="cpu")
    generator = torch.Generator().manual_seed(0)
    weights = {name: _random(name, tensor.shape, size.dtype, generator) for name, tensor in model.diffusion_model.state_dict().items()}
    model.diffusion_model.load_state_dict(weights)
    device = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(model, load_device=device, offload_device=torch.device("cpu"))


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
    return [[context, {"pooled_output": torch.randn(1, size.pooled, generator=generator) if size.pooled else None}]]


ENCODERS = {"flux": "t5", "sd3": "clip", "z-image": "qwen3 of Z-Image", "krea2": "qwen3-vl of Krea 2", "sdxl": "clip-l and clip-g"}
TEMPLATE = 8  # tokens of a concept's text beside its own, where a model refines texts


def concepts(size: Size, number: int, tokens: int) -> Concepts:
    """So many concepts of so many tokens each."""
    share = torch.eye(number).repeat_interleave(tokens, 1) / tokens
    embeddings = torch.randn(number * tokens, size.context, generator=torch.Generator().manual_seed(9))
    around = embeddings.new_zeros(TEMPLATE, size.context)
    return Concepts(
        names=tuple(f"concept {n}" for n in range(number)),
        num_shown=number,
        encoder=ENCODERS[size.family],
        embeddings=embeddings,
        token_weights=share,
        positions=torch.arange(tokens).repeat(number),
        sequences=tuple(torch.cat([own, around]) for own in embeddings.split(tokens)),
        starts=(0,) * number,
    )


def words(size: Size, number: int, tokens: int, prompt) -> Concepts:
    """So many words of so many tokens each, of a prompt."""
    embeddings = prompt[0][0][0]
    share = torch.zeros(number, len(embeddings))
    for word in range(number):
        share[word, 1 + word * tokens : 1 + (word + 1) * tokens] = 1 / tokens
    names = tuple(f"word {n}" for n in range(number))
    return Concepts(names, number, ENCODERS[size.family], embeddings, share, of_prompt="positive")
