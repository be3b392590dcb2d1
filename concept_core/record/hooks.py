"""Listen to a model's blocks while they run: each one's joint attention is seen, nothing in it is changed.

The taps live in the transformer options of one model call, so there is nothing to take out afterwards. A block
replacement or an attention override that is already there is called as before.
"""

import torch
from torch import Tensor

from ..recording.recording import ATTENDS_TO

OVERRIDE = "optimized_attention_override"


def tap_blocks(transformer_options: dict, stream, call, left_out=()) -> dict:
    """A copy of `transformer_options` in which every block that the stream names carries it and reports to `call`.

    left_out: names of blocks that are not run; what would go in goes on.
    """
    replacements = transformer_options.get("patches_replace", {})
    blocks = dict(replacements.get("dit", {}))
    for index, name in enumerate(stream.block_names):
        blocks[name] = BlockTap(index, stream, call, blocks.get(name))
    blocks |= {name: lambda args, extra: args for name in left_out}
    return {**transformer_options, "patches_replace": {**replacements, "dit": blocks}}


class BlockTap:
    """One block of one model call, as a block replacement."""

    def __init__(self, index, stream, call, replaced):
        self.index, self.stream, self.call, self.replaced = index, stream, call, replaced

    def __call__(self, args, extra):
        if self.call.broken:
            return self.run_block(args, extra)
        self.args, self.attended = args, None
        self.image_start = args["txt"].shape[1]
        self.tokens = self.image_start + args["img"].shape[1]
        options = args["transformer_options"]
        self.overridden = options.get(OVERRIDE)
        out = self.run_block({**args, "transformer_options": {**options, OVERRIDE: self.attention}}, extra)
        self.leave()
        self.args = self.attended = None
        return out

    def run_block(self, args, extra):
        return self.replaced(args, extra) if self.replaced else extra["original_block"](args)

    def leave(self):
        if self.attended is None:
            self.call.break_off("a block of the model was left out or replaced, by a cache or by another patch: take that out of the model")
        if not self.call.broken:
            with self.call.spare_the_picture():
                self.stream.leave(self.index, self.attended)

    def attention(self, function, q, k, v, *args, **kwargs):
        """The block's attention, called as it would have been, and beside the joint attention the concepts' own."""
        if self.overridden:
            out = self.overridden(function, q, k, v, *args, **kwargs)
        else:
            out = function(q, k, v, *args, **kwargs)
        by_head = kwargs.get("skip_reshape", False)
        is_joint = q.shape[2 if by_head else 1] == self.tokens  # others attend from image to image
        if self.attended is None and is_joint and not self.call.broken:
            heads = kwargs["heads"] if "heads" in kwargs else args[0]
            with self.call.spare_the_picture():
                self.listen(*(x if by_head else split_heads(x, heads) for x in (q, k, v)), out)
        return out

    def listen(self, q, k, v, out):
        """After the block's own attention: a weight that is loaded as it is used is used for the picture first."""
        if self.index == 0:
            self.stream.begin(q.dtype)
        concept_q, concept_k, concept_v = self.stream.enter(self.index, self.args)
        image_k, image_v = self.of_image(k), self.of_image(v)
        attended = attend(concept_q, concept_k, concept_v, image_k, image_v, self.call.recording.attends_to)
        image_out = self.call.take(out)[:, self.image_start :][:, : self.call.image_tokens]
        image_q = self.stream.image_queries(self.of_image(q), self.args) if self.call.wants("cross-attention") else None
        self.call.record(attended, image_out, concept_k, image_q, concept_v, image_v)
        self.attended = attended

    def of_image(self, x):
        """[B, heads, N, d]: the recorded rows' image tokens, without the reference images that follow them."""
        return self.call.take(x)[:, :, self.image_start :][:, :, : self.call.image_tokens]


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, heads, N, d] from [B, N, heads · d] or [B, N, heads, d]."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def attend(concept_q: Tensor, concept_k: Tensor, concept_v: Tensor, image_k: Tensor, image_v: Tensor, attends_to=ATTENDS_TO) -> Tensor:
    """[B, T, heads · d]: softmax(q_c · [k_c; k_x]ᵀ / √d) · [v_c; v_x], concepts attending to concepts and image.

    PyTorch's own attention, since others quantise. attends_to: the two, or for the paper's ablation one of them, or none,
    which leaves v_c.
    """
    if not attends_to:
        return concept_v.transpose(1, 2).flatten(2)
    heard = {"concepts": (concept_k, concept_v), "image": (image_k, image_v)}
    k, v = (torch.cat(both, dim=2) for both in zip(*(heard[name] for name in attends_to)))
    return torch.nn.functional.scaled_dot_product_attention(concept_q, k, v).transpose(1, 2).flatten(2)
