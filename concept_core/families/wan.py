"""Wan 2.1 and 2.2: text is keys and values of cross-attention alone."""

import math
from functools import partial

import torch
from torch import Tensor

from .cross_attention import ConceptScores
from .family import Family, is_network, later_two_thirds
from .joint import OVERRIDE, called, other_tokens, split_heads


class Wan(Family):
    name = "Wan 2.1 and 2.2"
    key = "wan"
    encoders = ("umt5",)
    clip_hint = "For Wan load umT5-XXL with CLIPLoader, type wan."
    clip_type = "wan"
    spaces = ("cross-attention",)
    is_video = True

    @staticmethod
    def matches(model) -> bool:
        return any(is_network(model, "comfy.ldm.wan.model", name) for name in ("WanModel", "VaceWanModel", "CameraWanModel"))

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

    @property
    def default_blocks(self) -> range:
        return later_two_thirds(self.depth)

    def new_stream(self, network, forward, inputs: dict) -> "WanListener":
        return WanListener(network, forward, self.token_grid(inputs["x"]), *self.other_tokens(network, inputs))

    def other_tokens(self, network, inputs: dict) -> tuple[int, int]:
        """How many stand before the clip's, of a reference picture, and behind them, of what a patch has joined to it."""
        reference = inputs.get("reference_latent") if getattr(network, "ref_conv", None) is not None else None
        before = 0 if reference is None else math.prod(side // self.patch for side in reference.shape[-2:])
        joined = [inputs.get("time_dim_concat"), *(inputs.get("context_latents") or [])]
        return before, self.tokens_of([latent for latent in joined if latent is not None])


class WanListener:
    """Listens to the cross-attention of one forward pass, whose queries are not rotated.

    It is the last that a block attends with: self-attention comes first, then in some models a picture's, then the text's.
    """

    def __init__(self, network, forward, grid: tuple[int, ...], tokens_before: int, tokens_behind: int):
        self.network, self.forward, self.grid = network, forward, grid
        self.tokens_before, self.tokens_behind = tokens_before, tokens_behind

    def hook(self, transformer_options: dict, left_out=()) -> dict:
        """A copy of the options in which every block reports to the forward pass. Nothing can be left out."""
        replacements = transformer_options.get("patches_replace", {})
        blocks = dict(replacements.get("dit", {}))
        for index in range(len(self.network.blocks)):
            name = ("double_block", index)
            blocks[name] = partial(self.block, index, blocks.get(name))
        return {**transformer_options, "patches_replace": {**replacements, "dit": blocks}}

    def block(self, index: int, replaced, args: dict, extra: dict):
        """A block replacement, given the one that was there."""
        attended: list[Tensor] = []
        options = args["transformer_options"]
        attention = partial(self.attention, options.get(OVERRIDE), attended)
        args = {**args, "transformer_options": {**options, OVERRIDE: attention}}
        out = replaced(args, extra) if replaced else extra["original_block"](args)
        if attended and index == len(self.forward.blocks) and not self.forward.is_over:
            with self.forward.spare_the_picture():
                self.listen(index, attended[0])
        return out

    def attention(self, overridden, attended: list[Tensor], function, q, k, v, *args, **kwargs):
        """An attention override, given the one that was there. Keeps the queries of what was called last."""
        out = called(overridden, function, q, k, v, *args, **kwargs)
        attended[:] = [q]
        return out

    def listen(self, index: int, q: Tensor):
        """q: [B, tokens, heads · d]"""
        forward, attention = self.forward, self.network.blocks[index].cross_attn
        if q.shape[1] != self.tokens_before + forward.image_tokens + self.tokens_behind:
            raise other_tokens(q.shape[1], self.tokens_before + forward.image_tokens + self.tokens_behind)
        once, heads = forward.once_a_sampling, attention.num_heads

        def concept_keys():
            tokens = once("context", lambda: self.network.text_embedding(forward.concepts(q.dtype)[:1]))
            return split_heads(attention.norm_k(attention.k(tokens)), heads)

        of_clip = split_heads(q[:, self.tokens_before :][:, : forward.image_tokens], heads)
        block = ConceptScores(forward, self.grid)
        block.add(of_clip, torch.empty(0), lambda: once(index, concept_keys), self.grid)
        block.close()
