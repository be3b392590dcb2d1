"""A picture's maps at its pixels."""

from torch import Tensor

from ..maps.maps import Maps
from ..maps.resize import upsample
from .edges import follow_edges

EDGE_RADIUS = 32
CELLS_PER_RADIUS = 4


def at_pixels(maps: Maps, values: Tensor, picture: Tensor | None, edge_radius: int) -> Tensor:
    """[N, h, w] of one picture → [N, H, W], smooth, with the picture's edges if there is one [H, W, 3]."""
    size = maps.image_size if picture is None else tuple(picture.shape[:2])
    if picture is None or edge_radius == 0:
        return upsample(values[None], maps.pixels_per_token, maps.image_size, size)[0]
    scale = size[0] / maps.image_size[0]
    cell = max(1, round(scale * min(edge_radius / CELLS_PER_RADIUS, maps.pixels_per_token)))
    return follow_edges(upsample(values[None], maps.pixels_per_token, maps.image_size, size, cell)[0], picture, cell)
