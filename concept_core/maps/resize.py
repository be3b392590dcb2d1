"""Maps and pictures at picture size."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ..recording.grid import grid


def upsample(values: Tensor, pixels_per_token: int, map_image_size, size, cell: int = 1) -> Tensor:
    """[B, C, h, w] → [B, C, rows, columns], smooth, within each map's own range: a value for each cell of a picture of `size`.

    Token (i, j) covers a square of pixels_per_token; where the picture's size is no multiple of that, the grid reaches
    beyond its lower and right edge and is cropped. `size` may be a scaled version of `map_image_size`. cell: side of a square of
    pixels; the last ones may reach beyond the picture.
    """
    scales = [pixels_per_token * side / map_side / cell for side, map_side in zip(size, map_image_size)]
    down, across = (_bicubic(*each) for each in zip(values.shape[2:], scales, grid(size, cell)))
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    return (down @ values @ across.T).clamp_(low, high)


def _bicubic(tokens: int, scale: float, cells: int) -> Tensor:
    """[cells, tokens]: the weights of bicubic interpolation along one side, which are those of any picture; PyTorch's own is slower."""
    weights = interpolate(torch.eye(tokens)[None, None], scale_factor=(scale, 1.0), mode="bicubic", align_corners=False)
    missing = max(0, cells - weights.shape[2])
    return pad(weights, (0, 0, 0, missing), mode="replicate")[0, 0, :cells]
