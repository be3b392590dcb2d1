"""Scores of parts of a picture or clip, laid where each part lies and averaged with given weights where several overlap."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..recording.grid import Size
from ..recording.grid import grid as grid_of

SIDES = (-3, -2, -1)  # frames, rows, columns


@dataclass
class Area:
    """What one conditioning covers, in frames and pixels of the latent.

    start: frame, row and column of its first corner. weight: [B, t, h, w], how much it counts at each latent pixel of its area.
    even: known to count alike and above 0 at all of them, without a look at the weight.
    """

    start: Size
    weight: Tensor
    even: bool = False

    @property
    def size(self) -> Size:
        return tuple(self.weight.shape[1:])


def is_whole(area: Area, size: Size) -> bool:
    """Whether an area alone is all of the picture, so that its weight does not matter."""
    return area.size == tuple(size) and (area.even or bool((area.weight > 0).all()))


def average(pieces: list[tuple[Area, Tensor]], size: Size, patches: Size) -> Tensor:
    """[..., B, C, N] of the whole picture from the scores [..., B, C, n] of its parts.

    size: of the whole latent. patches: of it in one token. A token's score counts at all latent pixels of its patch; the
    whole picture's token takes the weighted mean over its own patch. Where no part lies the scores are 0, so that
    all concepts share alike.
    """
    padded = [tokens * patch for tokens, patch in zip(grid_of(size, patches), patches)]
    first = pieces[0][1]
    total = first.new_zeros(*first.shape[:-1], *padded)
    weights = first.new_zeros(first.shape[-3], 1, *padded)
    for area, scores in pieces:
        by_pixel = scores.unflatten(-1, grid_of(area.size, patches))
        for side, patch in zip(SIDES, patches):
            by_pixel = by_pixel.repeat_interleave(patch, side)
        frames, rows, columns = area.size
        by_pixel = by_pixel[..., :frames, :rows, :columns] * area.weight[:, None].to(scores)
        place = (..., *(slice(start, start + side) for start, side in zip(area.start, area.size)))
        total[place] += by_pixel
        weights[place] += area.weight[:, None].to(scores)
    total, weights = (sum_patches(x, patches) for x in (total, weights))
    return torch.where(weights > 0, total / weights.clamp(min=1e-12), 0).flatten(-3)


def sum_patches(x: Tensor, patches: Size) -> Tensor:
    """[..., t, h, w] from [..., t · patch, h · patch, w · patch] with each side's own patch."""
    for side, patch in zip(SIDES, patches):
        x = x.unflatten(side, (-1, patch)).sum(side)
    return x
