"""Cells that cover a picture, a latent or a clip's latent."""

from collections.abc import Iterable
from itertools import repeat

from torch import Tensor
from torch.nn.functional import interpolate

Size = tuple[int, int, int]  # frames, height, width


def grid(size: Iterable[int], cell: int | Iterable[int]) -> tuple[int, ...]:
    """How many cells cover each side; the last ones may reach beyond its edge. cell: the length of each side, or of all."""
    return tuple(-(-side // length) for side, length in zip(size, repeat(cell) if isinstance(cell, int) else cell))


def resized(scores: Tensor, size: tuple[int, ...], grid: tuple[int, ...]) -> Tensor:
    """[B, C, N] on a grid of rows and columns, from [B, C, n] on another one. Bilinear: probabilities still sum to 1."""
    if size == tuple(grid):
        return scores
    return interpolate(scores.unflatten(2, size), tuple(grid), mode="bilinear").flatten(2)
