"""Joint blocks whose text has modules of its own: each one's attention is listened to while it runs, and nothing in it is changed.

The hooks live in the transformer options of one forward pass, so there is nothing to take out afterwards. A block replacement or an
attention override that is already there is called as before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..recording.scores import ATTENDS_TO, cross_scores, output_scores, value_scores
from .prompt_words import mask_of, record_words

OVERRIDE = "optimized_attention_override"


@dataclass(frozen=True)
class Entered:
    """Concept tokens in a block: queries, keys and values [B, heads, T, d].

    positioned: (queries, keys) after rotary positions; None where there are none. leave: takes their attention's output
    [B, T, heads · d] and brings the tokens through the rest of the block.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    leave: Callable[[Tensor], None]
    positioned: tuple[Tensor, Tensor] | None = None


class JointStream:
    """The concept tokens on their way through the joint blocks of one forward pass.

    `args` is what ComfyUI hands a block replacement. block_names: the blocks that have a concept output, as keys of those.
    reference_tokens: how many may follow the picture's.
    """

    def __init__(self, forward, block_names: list[tuple[str, int]], reference_tokens: int = 0):
        self.forward, self.block_names, self.reference_tokens = forward, block_names, reference_tokens

    def hook(self, transformer_options: dict, left_out=()) -> dict:
        """A copy of the options in which every block reports to the forward pass.

        left_out: names of blocks that are not run; what would go in goes on.
        """
        replacements = transformer_options.get("patches_replace", {})
        blocks = dict(replacements.get("dit", {}))
        for index, name in enumerate(self.block_names):
            blocks[name] = BlockHook(self, index, blocks.get(name))
        blocks |= {name: lambda args, extra: args for name in left_out}
        return {**transformer_options, "patches_replace": {**replacements, "dit": blocks}}

    def begin(self, dtype):
        """Bring the concepts to where the blocks begin."""
        raise NotImplementedError

    def enter(self, index: int, args: dict) -> Entered:
        raise NotImplementedError

    def image_span(self, args: dict) -> tuple[int, int]:
        """Where in the block's joint sequence the picture begins, and where it and what follows it ends."""
        text = args["txt"].shape[1]
        return text, text + args["img"].shape[1]

    def image_queries(self, q: Tensor, args: dict) -> Tensor:
        """[B, heads, N, d], as they are before rotary positions; q: the picture's, as attention gets them."""
        return q

    def check_image_tokens(self, tokens: int):
        """ValueError if a block has more than those of the picture and, behind it, the reference latents."""
        picture = self.forward.image_tokens
        if tokens not in (picture, picture + self.reference_tokens):
            raise other_tokens(tokens, picture + self.reference_tokens)


def other_tokens(found: int, known: int) -> ValueError:
    return ValueError(
        f"Concept Attention cannot tell the picture's tokens from others: there are {found} where the picture and its reference latents "
        f"have {known}. Another patch of this model adds tokens: take it out, or bypass the Apply node."
    )


class BlockHook:
    """Around one block of a forward pass, as a block replacement."""

    def __init__(self, stream: JointStream, index: int, replaced):
        self.stream, self.index, self.replaced = stream, index, replaced

    def __call__(self, args, extra):
        if self.stream.forward.is_over:
            return self.run_block(args, extra)
        options = args["transformer_options"]
        listener = BlockListener(self.stream, self.index, args, options.get(OVERRIDE))
        out = self.run_block({**args, "transformer_options": {**options, OVERRIDE: listener.attention}}, extra)
        listener.leave()
        return out

    def run_block(self, args, extra):
        return self.replaced(args, extra) if self.replaced else extra["original_block"](args)


class BlockListener:
    """One run of a block: its attention, called as it would have been, and beside the joint attention the concepts' own."""

    def __init__(self, stream: JointStream, index: int, args: dict, overridden):
        self.stream, self.index, self.args, self.overridden = stream, index, args, overridden
        self.forward = stream.forward
        self.first, self.tokens = stream.image_span(args)
        self.after_block: Callable[[], None] | None = None  # set by the block's attention

    def attention(self, function, q, k, v, *args, **kwargs):
        """An attention override."""
        out = called(self.overridden, function, q, k, v, *args, **kwargs)
        by_head = kwargs.get("skip_reshape", False)
        is_joint = q.shape[2 if by_head else 1] == self.tokens  # others attend from image to image
        if self.after_block is None and is_joint and not self.forward.is_over:
            heads = kwargs["heads"] if "heads" in kwargs else args[0]
            with self.forward.spare_the_picture():
                by_heads = (x if by_head else split_heads(x, heads) for x in (q, k, v))
                self.after_block = self.listen(*by_heads, out, mask_of(*args, **kwargs))
        return out

    def listen(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor, mask: Tensor | None) -> Callable[[], None]:
        """After the block's own attention: a weight that is loaded as it is used is used for the picture first. What is given back is
        to be called after the block."""
        self.stream.check_image_tokens(self.tokens - self.first)
        if self.forward.recording.concepts.of_prompt:
            record_words(self.forward, (0, self.first), self.first, q, k, mask)
            return lambda: None
        if self.index == 0:
            self.stream.begin(q.dtype)
        entered = self.stream.enter(self.index, self.args)
        concept_out = record_block(self.stream, entered, self.first, q, k, v, out, self.args)
        is_last = self.index == self.forward.recording.depth - 1  # after which nothing asks for the concepts
        return (lambda: None) if is_last else partial(entered.leave, concept_out)

    def leave(self):
        if self.after_block is None:
            self.forward.skip("a block of the model was left out or replaced, by a cache or by another patch: take that out of the model")
        elif not self.forward.is_over:
            with self.forward.spare_the_picture():
                self.after_block()


def called(overridden: Callable | None, function: Callable, *args, **kwargs) -> Tensor:
    """What the attention gives, through another node's override if there is one."""
    return overridden(function, *args, **kwargs) if overridden else function(*args, **kwargs)


def record_block(stream, entered: Entered, first: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor, args: dict) -> Tensor:
    """concept_out [B, T, heads · d] of one block, whose scores are recorded.

    first: where the picture begins in the block's sequence. q, k, v: [B, heads, tokens, d], all that the block attends with, and out
    [B, tokens, heads · d], what came of it.
    """
    forward = stream.forward

    def of_image(x):
        """[B, heads, N, d]: the recorded rows' image tokens, without the reference images that follow them."""
        return forward.take(x)[:, :, first:][:, :, : forward.image_tokens]

    image_v, weights = of_image(v), forward.token_weights
    concept_q, concept_k = entered.positioned or (entered.q, entered.k)
    concept_out = forward.attend(concept_q, concept_k, entered.v, of_image(k), image_v, forward.recording.attends_to)
    image_out = forward.take(out)[:, first:][:, : forward.image_tokens]
    scores = {"output": output_scores(weights, concept_out, image_out, forward.recording.normalises_concepts)}
    if forward.wants("cross-attention"):
        scores |= cross_scores(weights, entered.k, stream.image_queries(of_image(q), args))
    if forward.wants("value"):
        scores["value"] = value_scores(weights, entered.v, image_v)
    forward.record(scores, concept_out, image_out)
    return concept_out


def clamped(x: Tensor) -> Tensor:
    """As ComfyUI keeps float16 from overflowing."""
    return torch.nan_to_num(x, nan=0.0, posinf=65504, neginf=-65504) if x.dtype == torch.float16 else x


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, heads, N, d] from [B, N, heads · d] or [B, N, heads, d]."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


Attend = Callable[..., Tensor]  # as attend


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
