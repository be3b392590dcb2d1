"""The concept stream of Flux 1 (dev, schnell, Krea, Kontext, Fill): ComfyUI's Flux class with modulation per block."""

import math

import torch
from torch import Tensor

from .text_encoders import T5


class Flux1:
    name = "Flux 1 (dev, schnell, Krea, Kontext, Fill)"
    encoders = {"t5": T5}
    clip_parts = {"l", "t5xxl"}
    clip_hint = "For Flux 1 load CLIP-L and T5-XXL with DualCLIPLoader, type flux."
    wrapper = "diffusion_model"
    latent_pixel = 8
    patch = 2
    normalises_concepts = False

    @staticmethod
    def matches(network) -> bool:
        kind = type(network)
        if (kind.__module__, kind.__name__) != ("comfy.ldm.flux.model", "Flux"):
            return False
        # Flux.2 modulates all blocks alike; Ovis and LongCat number their text tokens and have no pooled prompt.
        params = network.params
        plain = not params.global_modulation and params.vec_in_dim is not None and not params.txt_ids_dims
        return plain and getattr(network, "txt_norm", None) is None

    @staticmethod
    def embedding_width(network) -> int:
        return network.params.context_in_dim

    @staticmethod
    def width(network) -> int:
        return network.hidden_size

    @staticmethod
    def depth(network) -> int:
        return len(network.double_blocks)

    @staticmethod
    def default_blocks(depth: int) -> range:
        """15 to 18 of 19, as published; of another depth the last fifth."""
        return range(depth - math.ceil(depth / 5), depth)

    @staticmethod
    def later_blocks(network) -> list[tuple[str, int]]:
        return [("single_block", index) for index in range(len(network.single_blocks))]

    @staticmethod
    def as_authors_encode(conditioning: dict, network) -> dict:
        """Guidance 0, and zeros for the pooled prompt."""
        return {**conditioning, "guidance": 0.0, "pooled_output": torch.zeros(1, network.params.vec_in_dim)}

    @staticmethod
    def forward_with(recorder):
        """A DIFFUSION_MODEL wrapper: Flux's forward with the concept stream beside it where `recorder` wants one."""

        def forward(
            executor, x, timestep, context, y=None, guidance=None, ref_latents=None, control=None, transformer_options={}, **kwargs
        ):
            def new_stream(call):
                references = sum(math.prod(recorder.grid(latent)) for latent in ref_latents or [])
                return FluxStream(executor.class_obj, call, timestep, guidance, references)

            with recorder.listening(x, transformer_options, new_stream) as options:
                return executor(x, timestep, context, y, guidance, ref_latents, control, options, **kwargs)

        return forward


class FluxStream:
    """The third stream, through the text stream's own modules.

    Its tokens are modulated by time, guidance and `vector_in(0)`, without the pooled prompt. Their position id is 0,
    for which the rotary embedding is the identity.
    """

    def __init__(self, network, call, timestep: Tensor, guidance: Tensor | None, reference_tokens: int):
        self.network, self.call = network, call
        self.timestep, self.guidance = call.take(timestep), call.take(guidance)
        self.reference_tokens = reference_tokens
        self.blocks = network.double_blocks
        self.block_names = [("double_block", index) for index in range(len(self.blocks))]

    def begin(self, dtype):
        network = self.network
        self.tokens = network.txt_in(self.call.concepts(dtype))
        vec = network.time_in(timestep_embedding(self.timestep).to(dtype))
        if network.params.guidance_embed and self.guidance is not None:
            vec = vec + network.guidance_in(timestep_embedding(self.guidance).to(dtype))
        self.vec = vec + network.vector_in(vec.new_zeros(1, network.params.vec_in_dim))

    def enter(self, index: int, args: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, T, d] of the concept tokens in a block."""
        self.check_tokens(args["img"])
        block = self.blocks[index]
        self.first, self.second = block.txt_mod(self.vec)
        x = (1 + self.first.scale) * block.txt_norm1(self.tokens) + self.first.shift
        q, k, v = block.txt_attn.qkv(x).unflatten(2, (3, self.network.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = block.txt_attn.norm(q, k, v)
        return q, k, v

    def check_tokens(self, img: Tensor):
        """ValueError if `img` [B, N, width] holds more than the picture and, behind it, the reference latents."""
        known = self.call.image_tokens, self.call.image_tokens + self.reference_tokens
        if img.shape[1] not in known:
            raise ValueError(
                f"Concept Attention cannot tell the picture's tokens from others: there are {img.shape[1]} where the picture and its "
                f"reference latents have {known[1]}. Another patch of this model adds tokens: take it out, or bypass the Apply node."
            )

    def leave(self, index: int, attended: Tensor):
        """Add what the tokens attended to, [B, T, width] before the output projection, and the MLP."""
        block = self.blocks[index]
        x = self.tokens + self.first.gate * block.txt_attn.proj(attended)
        x = x + self.second.gate * block.txt_mlp((1 + self.second.scale) * block.txt_norm2(x) + self.second.shift)
        if x.dtype == torch.float16:
            x = torch.nan_to_num(x, nan=0.0, posinf=65504, neginf=-65504)
        self.tokens = x

    def image_queries(self, q: Tensor, args: dict) -> Tensor:
        """Image queries [B, heads, N, d] as they were before rotary positions: turned back."""
        pe = self.call.take(args["pe"])[:, :, args["txt"].shape[1] :][:, :, : q.shape[2]]
        pairs = q.float().unflatten(-1, (-1, 2))
        return (pe[..., 0, :] * pairs[..., :1] + pe[..., 1, :] * pairs[..., 1:]).flatten(-2)


def timestep_embedding(t: Tensor, width: int = 256) -> Tensor:
    """[B, width]: cosines and sines of 1000·t at `width` / 2 frequencies from 1 down to 1/10000, like Flux's own."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(width // 2, dtype=torch.float32, device=t.device) / (width // 2))
    angles = (1000.0 * t)[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1).to(t)
