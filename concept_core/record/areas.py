"""Scores of parts of a picture, laid where each part lies and averaged with given weights where several overlap."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..recording.grid import grid as grid_of


@dataclass
class Area:
    """What one conditioning covers, in latent pixels.

    top, left: of its area. weight: [B, h, w], how much it counts at each latent pixel of its area.
    even: known to count alike and above 0 at all of them, without a look at the weight.
    """

    top: int
    left: int
    weight: Tensor
    even: bool = False

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.weight.shape[-2:])


def is_whole(area: Area, size) -> bool:
    """Whether an area alone is all of the picture, so that its weight does not matter."""
    return area.size == tuple(size) and (area.even or bool((area.weight > 0).all()))


def average(pieces: list[tuple[Area, Tensor]], size, patch: int) -> Tensor:
    """[..., B, C, N] of the whole picture from the scores [..., B, C, n] of its parts.

    size: height and width of the whole in latent pixels. A token's score counts at all latent pixels of its patch; the
    whole picture's token takes the weighted mean over its own patch. Where no part lies the scores are 0, so that
    all concepts share alike.
    """
    grid = grid_of(size, patch)
    first = pieces[0][1]
    total = first.new_zeros(*first.shape[:-1], grid[0] * patch, grid[1] * patch)
    weights = first.new_zeros(first.shape[-3], 1, grid[0] * patch, grid[1] * patch)
    for area, scores in pieces:
        by_pixel = scores.unflatten(-1, grid_of(area.size, patch)).repeat_interleave(patch, -2).repeat_interleave(patch, -1)
        by_pixel = by_pixel[..., : area.size[0], : area.size[1]] * area.weight[:, None].to(scores)
        place = (..., slice(area.top, area.top + area.size[0]), slice(area.left, area.left + area.size[1]))
        total[place] += by_pixel
        weights[place] += area.weight[:, None].to(scores)
    total, weights = (sum_patches(x, patch) for x in (total, weights))
    return torch.where(weights > 0, total / weights.clamp(min=1e-12), 0).flatten(-2)


def sum_patches(x: Tensor, patch: int) -> Tensor:
    """[..., rows, columns] from [..., rows · patch, columns · patch]."""
    return x.unflatten(-1, (-1, patch)).sum(-1).unflatten(-2, (-1, patch)).sum(-2)
