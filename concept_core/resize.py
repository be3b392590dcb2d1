"""Maps and pictures at picture size."""

from torch import Tensor
from torch.nn.functional import interpolate, pad


def upsample(values: Tensor, pixels_per_token: int, map_image_size, size, cell: int = 1) -> Tensor:
    """[B, C, h, w] → [B, C, rows, columns], smooth, within each map's own range: a value for each cell of a picture of `size`.

    Token (i, j) covers a square of pixels_per_token; where the picture's size is no multiple of that, the grid reaches
    beyond its lower and right edge and is cropped. `size` may be a scaled version of `map_image_size`. cell: side of a square of
    pixels; the last ones may reach beyond the picture.
    """
    rows, columns = grid(size, cell)
    scales = [pixels_per_token * side / map_side / cell for side, map_side in zip(size, map_image_size)]
    smooth = interpolate(values, scale_factor=scales, mode="bicubic", align_corners=False)
    missing = max(0, columns - smooth.shape[3]), max(0, rows - smooth.shape[2])
    smooth = pad(smooth, (0, missing[0], 0, missing[1]), mode="replicate")
    low, high = values.amin((2, 3), keepdim=True), values.amax((2, 3), keepdim=True)
    return smooth[:, :, :rows, :columns].clamp(low, high)


def grid(size: tuple[int, int], cell: int) -> tuple[int, int]:
    """(rows, columns) of cells that cover a picture of (height, width); the last ones may reach beyond its edge."""
    return -(-size[0] // cell), -(-size[1] // cell)
