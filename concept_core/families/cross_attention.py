"""Concepts in models whose text is keys and values of cross-attention alone.

No text token runs through such a model, so there is no concept stream: each layer's own projection makes keys of the concepts, and the
picture's queries are held against them. The layer's attention goes on as it would have.
"""

import torch
from torch import Tensor

from ..recording.grid import resized
from ..recording.scores import cross_scores
from .joint import split_heads


def concept_keys(project_keys, embeddings: Tensor, heads: int) -> Tensor:
    """[B or 1, heads, T, d], over √d as the layer's own attention has them. embeddings: [B or 1, T, width]"""
    keys = split_heads(project_keys(embeddings), heads)
    return keys / keys.shape[-1] ** 0.5


class LayerScores:
    """Scores of one block, which may have several layers of cross-attention: their mean, brought to the picture's grid."""

    def __init__(self, forward, grid: tuple[int, int]):
        self.forward, self.grid = forward, grid
        self.layers: list[dict[str, Tensor]] = []

    def add(self, q: Tensor, keys: Tensor, size: tuple[int, int]):
        """q: [B, heads, N, d], the picture's queries, row by row of a layer's own size. keys: as concept_keys."""
        scores = cross_scores(self.forward.token_weights, keys, self.forward.take(q))
        self.layers.append({space: resized(each, size, self.grid) for space, each in scores.items()})

    def mean(self) -> dict[str, Tensor]:
        """space → [B, C, N]"""
        return {space: torch.stack([layer[space] for layer in self.layers]).mean(0) for space in self.layers[0]}
