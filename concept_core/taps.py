"""Listen to a model's blocks while they run: each one's joint attention is seen, nothing in it is changed.

The taps live in the transformer options of one model call, so there is nothing to take out afterwards. A block
replacement or an attention override that is already there is called as before.
"""

import torch
from torch import Tensor

OVERRIDE = "optimized_attention_override"


def tap_blocks(transformer_options: dict, stream, call) -> dict:
    """A copy of `transformer_options` in which every block that the stream names carries it and reports to `call`."""
    replacements = transformer_options.get("patches_replace", {})
    blocks = dict(replacements.get("dit", {}))
    for index, name in enumerate(stream.block_names):
        blocks[name] = BlockTap(index, stream, call, blocks.get(name))
    return {**transformer_options, "patches_replace": {**replacements, "dit": blocks}}


class BlockTap:
    """One block of one model call, as a block replacement."""

    def __init__(self, index, stream, call, replaced):
        self.index, self.stream, self.call, self.replaced = index, stream, call, replaced

    def __call__(self, args, extra):
        if self.call.broken:
            return self.run_block(args, extra)
        self.attended = self.image_q = None
        self.concept_qkv = self.stream.enter(self.index)
        self.image_start = args["txt"].shape[1]
        out = self.run_block({**args, "transformer_options": self.listen(args["transformer_options"])}, extra)
        if self.attended is None:  # a cache skipped the block: without it the stream cannot go on
            self.call.broken = True
        else:
            self.stream.leave(self.index, self.attended)
        return out

    def run_block(self, args, extra):
        return self.replaced(args, extra) if self.replaced else extra["original_block"](args)

    def listen(self, options):
        self.overridden = options.get(OVERRIDE)
        options = {**options, OVERRIDE: self.attention}
        if self.call.wants("cross-attention"):
            patches = options.get("patches", {})
            options["patches"] = {**patches, "attn1_patch": [*patches.get("attn1_patch", []), self.keep_queries]}
        return options

    def keep_queries(self, q, k, v, pe=None, attn_mask=None, extra_options=None):
        """The image queries before rotary positions."""
        self.image_q = self.of_image(q)
        return {}

    def attention(self, function, q, k, v, heads, *args, **kwargs):
        """The block's joint attention, called as it would have been, and the concepts' own beside it."""
        if self.overridden:
            out = self.overridden(function, q, k, v, heads, *args, **kwargs)
        else:
            out = function(q, k, v, heads, *args, **kwargs)
        if self.attended is None:
            image_k, image_v = self.of_image(k), self.of_image(v)
            concept_q, concept_k, concept_v = self.concept_qkv
            self.attended = attend(concept_q, concept_k, concept_v, image_k, image_v)
            image_out = out[self.call.rows, self.image_start :][:, : self.call.image_tokens]
            self.call.record(self.attended, image_out, concept_k, self.image_q, concept_v, image_v)
            self.concept_qkv = self.image_q = None
        return out

    def of_image(self, x):
        """[B, heads, N, d]: the recorded rows' image tokens, without the reference images that follow them."""
        return x[self.call.rows, :, self.image_start :][:, :, : self.call.image_tokens]


def attend(concept_q: Tensor, concept_k: Tensor, concept_v: Tensor, image_k: Tensor, image_v: Tensor) -> Tensor:
    """[B, T, heads · d]: softmax(q_c · [k_c; k_x]ᵀ / √d) · [v_c; v_x], concepts attending to concepts and image.

    PyTorch's own attention, since others quantise.
    """
    k, v = torch.cat((concept_k, image_k), dim=2), torch.cat((concept_v, image_v), dim=2)
    return torch.nn.functional.scaled_dot_product_attention(concept_q, k, v).transpose(1, 2).flatten(2)
