"""Wan 2.1 and 2.2: text is keys and values of cross-attention alone."""

import math

from torch import Tensor

from .cross_attention import BlockListener
from .family import Family, is_network


class Wan(Family):
    name = "Wan 2.1 and 2.2"
    key = "wan"
    encoders = ("umt5",)
    clip_hint = "For Wan load umT5-XXL with CLIPLoader, type wan."
    clip_type = "wan"
    spaces = ("cross-attention",)
    frames_per_latent = 4

    @staticmethod
    def matches(model) -> bool:
        return any(is_network(model, "comfy.ldm.wan.model", name) for name in ("WanModel", "VaceWanModel"))

    @property
    def patch(self) -> int:
        return self.network.patch_size[-1]

    @property
    def patch_frames(self) -> int:
        return self.network.patch_size[0]

    @property
    def embedding_width(self) -> int:
        return self.network.text_dim

    @property
    def depth(self) -> int:
        return len(self.network.blocks)

    def new_stream(self, network, forward, inputs: dict) -> "WanListener":
        return WanListener(network, forward, self.token_grid(inputs["x"]), *self.tokens_beside(network, inputs))

    def tokens_beside(self, network, inputs: dict) -> tuple[int, int]:
        """How many stand before the clip's, of a reference picture, and behind them, of what a patch has joined to it."""
        reference = inputs.get("reference_latent") if getattr(network, "ref_conv", None) is not None else None
        before = 0 if reference is None else math.prod(side // self.patch for side in reference.shape[-2:])
        joined = [inputs.get("time_dim_concat"), *(inputs.get("context_latents") or [])]
        return before, self.tokens_of([latent for latent in joined if latent is not None])


class WanListener(BlockListener):
    """In some models a block attends to a picture before it does to the text."""

    def __init__(self, network, forward, grid: tuple[int, ...], tokens_before: int, tokens_behind: int):
        super().__init__(forward, len(network.blocks), grid, tokens_before, tokens_behind)
        self.network = network

    def heads(self, index: int) -> int:
        return self.network.blocks[index].cross_attn.num_heads

    def context(self, concepts: Tensor) -> Tensor:
        return self.network.text_embedding(concepts)

    def keys(self, index: int, context: Tensor) -> Tensor:
        attention = self.network.blocks[index].cross_attn
        return attention.norm_k(attention.k(context))
