"""What is heard of models whose text is keys and values of cross-attention alone.

No text token runs through such a model, so there is no concept stream: a layer's queries of the picture are held against keys of the
concepts, or against the prompt's own. The layer's attention goes on as it would have.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..recording.grid import resized
from ..recording.prompt_words import probabilities
from ..recording.scores import cross_scores
from .joint import OVERRIDE, called, other_tokens, split_heads
from .prompt_words import mask_of, record_words


class ConceptScores:
    """One block, which may have several layers: the mean of their scores, each brought to the picture's grid."""

    def __init__(self, forward, grid: tuple[int, ...]):
        self.forward, self.grid = forward, grid
        self.layers: list[dict[str, Tensor]] = []

    def add(self, q: Tensor, k: Tensor | None, concept_keys: Callable[[], Tensor], size: tuple[int, ...]):
        """q [B, heads, N, d], k [B, heads, tokens, d]: what a layer attends with. concept_keys: what it makes of the concepts' embeddings
        [1, heads, T, d]. size: rows and columns of its N queries, behind frames where there are several."""
        keys = concept_keys() / q.shape[-1] ** 0.5  # as the layer's own attention has them
        scores = cross_scores(self.forward.token_weights, keys, self.forward.take(q))
        self.layers.append({space: resized(each, size, self.grid) for space, each in scores.items()})

    def close(self):
        """Record the block."""
        self.forward.record({space: torch.stack([layer[space] for layer in self.layers]).mean(0) for space in self.layers[0]})


class BlockListener:
    """Listens to the blocks of one forward pass, which ComfyUI lets other nodes replace. What a block attends to last is the text.

    grid: of the picture's tokens, before and behind which others may stand.
    """

    def __init__(self, forward, depth: int, grid: tuple[int, ...], tokens_before: int = 0, tokens_behind: int = 0):
        self.forward, self.depth, self.grid = forward, depth, grid
        self.tokens_before, self.tokens_behind = tokens_before, tokens_behind

    def heads(self, index: int) -> int:
        raise NotImplementedError

    def context(self, concepts: Tensor) -> Tensor:
        """What blocks get in the place of embeddings [1, T, width]."""
        raise NotImplementedError

    def keys(self, index: int, context: Tensor) -> Tensor:
        """[1, T, heads · d] of one block."""
        raise NotImplementedError

    def hook(self, transformer_options: dict, left_out=()) -> dict:
        """A copy of the options in which every block reports to the forward pass. Nothing can be left out."""
        replacements = transformer_options.get("patches_replace", {})
        blocks = dict(replacements.get("dit", {}))
        for index in range(self.depth):
            name = ("double_block", index)
            blocks[name] = partial(self.block, index, blocks.get(name))
        return {**transformer_options, "patches_replace": {**replacements, "dit": blocks}}

    def block(self, index: int, replaced: Callable | None, args: dict, extra: dict):
        """A block replacement, given the one that was there."""
        attended: list[tuple] = []
        options = args["transformer_options"]
        attention = partial(self.attention, options.get(OVERRIDE), attended)
        args = {**args, "transformer_options": {**options, OVERRIDE: attention}}
        out = replaced(args, extra) if replaced else extra["original_block"](args)
        if attended and index == len(self.forward.blocks) and not self.forward.is_over:
            with self.forward.spare_the_picture():
                self.listen(index, *attended[0])
        return out

    def attention(self, overridden: Callable | None, attended: list[tuple], function: Callable, q, k, v, *args, **kwargs):
        """An attention override, given the one that was there. Keeps queries, keys and mask of what was called last."""
        out = called(overridden, function, q, k, v, *args, **kwargs)
        attended[:] = [(q, k, mask_of(*args, **kwargs))]
        return out

    def listen(self, index: int, q: Tensor, k: Tensor, mask: Tensor | None):
        """q, k: [B, tokens, heads · d]"""
        forward, heads, once = self.forward, self.heads(index), self.forward.once_a_sampling
        known = self.tokens_before + forward.image_tokens + self.tokens_behind
        if q.shape[1] != known:
            raise other_tokens(q.shape[1], known)
        if forward.recording.concepts.of_prompt:
            record_words(forward, (0, k.shape[1]), self.tokens_before, split_heads(q, heads), split_heads(k, heads), mask)
            return

        def concept_keys():
            context = once("context", lambda: self.context(forward.concepts(q.dtype)[:1]))
            return split_heads(self.keys(index, context), heads)

        of_picture = split_heads(q[:, self.tokens_before :][:, : forward.image_tokens], heads)
        scores = ConceptScores(forward, self.grid)
        scores.add(of_picture, None, lambda: once(index, concept_keys), self.grid)
        scores.close()


class PromptWordSums:
    """One block: the probabilities with which each head of each of its layers attends to words of the prompt, as DAAM sums them up."""

    def __init__(self, forward):
        self.forward = forward
        self.layers: list[Tensor] = []

    def add(self, q: Tensor, k: Tensor, concept_keys: Callable[[], Tensor], size: tuple[int, ...]):
        """As ConceptScores."""
        concepts, take = self.forward.on_device, self.forward.take
        length = self.forward.copies * len(concepts.embeddings)
        if k.shape[2] != length:
            raise ValueError(
                f"A layer reads {k.shape[2]} tokens where the prompt has {length}: another patch of this model adds some. Take it out, or "
                "name concepts with Encode Concepts."
            )
        first = q.shape[1] // 2 if self.forward.recording.later_heads else 0
        q, k = (take(x)[:, first:] for x in (q, k))
        self.layers.append(probabilities(q, k, concepts.used_tokens, len(concepts.embeddings)).unflatten(3, size))

    def close(self):
        self.forward.sums.append(self.layers)
