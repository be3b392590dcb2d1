"""Squares that cover a picture or a latent."""

from torch import Tensor
from torch.nn.functional import interpolate


def grid(size: tuple[int, int], cell: int) -> tuple[int, int]:
    """(rows, columns) of cells that cover (height, width); the last ones may reach beyond its edge."""
    return -(-size[0] // cell), -(-size[1] // cell)


def resized(scores: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """[B, C, N] on a grid, from [B, C, n] on one of another size. Bilinear: probabilities still sum to 1."""
    if size == tuple(grid):
        return scores
    return interpolate(scores.unflatten(2, size), tuple(grid), mode="bilinear").flatten(2)
