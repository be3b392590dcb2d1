"""Maps and pictures at picture size."""

import torch
from torch import Tensor


def upsample(values: Tensor, pixels_per_token: int, map_image_size, size) -> Tensor:
    """[B, C, h, w] → [B, C, height, width] at `size`, smooth, within each map's own range.

    Token (i, j) covers a square of pixels_per_token; where the picture's size is no multiple of that, the grid reaches
    beyond its lower and right edge and is cropped. `size` may be a scaled version of `map_image_size`.
    """
    height, width = size
    rows = round(values.shape[2] * pixels_per_token * height / map_image_size[0])
    columns = round(values.shape[3] * pixels_per_token * width / map_image_size[1])
    smooth = torch.nn.functional.interpolate(values, size=(rows, columns), mode="bicubic", align_corners=False)
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    return smooth[:, :, :height, :width].clamp(low, high)
