"""What is heard of models whose text is keys and values of cross-attention alone.

No text token runs through such a model, so there is no concept stream: a layer's queries of the picture are held against keys of the
concepts, or against the prompt's own. The layer's attention goes on as it would have.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..recording.grid import resized
from ..recording.prompt_words import probabilities
from ..recording.scores import cross_scores


class ConceptScores:
    """One block, which may have several layers: the mean of their scores, each brought to the picture's grid."""

    def __init__(self, forward, grid: tuple[int, int]):
        self.forward, self.grid = forward, grid
        self.layers: list[dict[str, Tensor]] = []

    def add(self, q: Tensor, k: Tensor, concept_keys: Callable[[], Tensor], size: tuple[int, int]):
        """q [B, heads, N, d], k [B, heads, tokens, d]: what a layer attends with. concept_keys: what it makes of the concepts' embeddings
        [1, heads, T, d]. size: rows and columns of its N queries."""
        keys = concept_keys() / q.shape[-1] ** 0.5  # as the layer's own attention has them
        scores = cross_scores(self.forward.token_weights, keys, self.forward.take(q))
        self.layers.append({space: resized(each, size, self.grid) for space, each in scores.items()})

    def close(self):
        """Record the block."""
        self.forward.record({space: torch.stack([layer[space] for layer in self.layers]).mean(0) for space in self.layers[0]})


class PromptWordSums:
    """One block: the probabilities with which each head of each of its layers attends to words of the prompt, as DAAM sums them up."""

    def __init__(self, forward):
        self.forward = forward
        self.layers: list[Tensor] = []

    def add(self, q: Tensor, k: Tensor, concept_keys: Callable[[], Tensor], size: tuple[int, int]):
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
