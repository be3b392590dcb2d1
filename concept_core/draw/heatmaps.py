"""Maps as pictures: scaled, coloured, laid over the picture, labelled."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..maps.maps import Maps, is_flat
from ..maps.pictures import pictures_for, room_for, size_for
from ..maps.presence import labelled
from ..maps.resize import upsample
from .colormaps import colour, greyed
from .labels import draw_label

SCALES = ALL_TOGETHER, EACH_ALONE, ABSOLUTE = ("all concepts together", "each concept alone", "absolute")
CLEAR = 0.4  # of the way from the lowest to the highest colour: below it a heatmap over grey is clear, the more the lower


def heatmaps(
    maps: Maps,
    image: Tensor | None = None,
    colormap: str = "plasma",
    scale: str = SCALES[0],
    opacity: float = 0.7,
    labels: bool = True,
    over_grey: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> Tensor:
    """[B·C, H, W, 3] in 0..1, picture by picture and concept by concept within it, the background list left out; of a clip concept by
    concept and frame by frame, on a scale that all frames share.

    image: see pictures_for; the heatmaps take its size. Labels give each concept's name and, of shares, its presence.
    over_grey: the picture below is without colour, and where a map is low it is seen. progress is called after each heatmap.
    ValueError for raw scores on the absolute scale.
    """
    if scale == ABSOLUTE:
        maps.check_softmax("Absolute scale needs shares in 0..1")
    maps, pictures, size = maps.at_pictures(), pictures_for(maps, image), size_for(maps, image)
    values = maps.values[:, : maps.num_shown].float()
    texts = iter(labelled(maps) if labels else [])
    result, by_picture = room_for(maps, maps.num_shown, *size, 3)
    of_clip = ends(values, scale) if maps.is_clip else None
    for drawn, value, picture in zip(by_picture, values, pictures):
        smooth = upsample(value[None], maps.pixels_per_token, maps.image_size, size)
        for heatmap, shade in zip(drawn, scaled(smooth, *(of_clip or ends(smooth, scale)))[0]):
            colour(shade, colormap, out=heatmap)
            if picture is not None:
                below = greyed(picture, opacity) if over_grey else picture
                strength = opacity * (shade / CLEAR).clamp(0, 1)[..., None] if over_grey else opacity
                torch.lerp(below, heatmap, strength, out=heatmap)
            if labels:
                draw_label(heatmap, next(texts))
            progress()
    return result


def ends(values: Tensor, scale: str) -> tuple[Tensor, Tensor]:
    """Lowest and highest of maps [B, C, h, w] together, or of each concept's, [1, C, 1, 1]; of shares as they are 0 and 1."""
    if scale == ABSOLUTE:
        return torch.zeros(()), torch.ones(())
    over = (0, 2, 3) if scale == EACH_ALONE else (0, 1, 2, 3)
    low, high = values.amin(over, keepdim=True), values.amax(over, keepdim=True)
    if is_flat(low, high).any():
        logging.warning("Concept Attention: a map is the same everywhere; it is drawn in the lowest colour.")
    return low, high


def scaled(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """[B, C, H, W] to 0..1 between their ends; 0 where those are alike."""
    return ((values - low) / (high - low).clamp(min=1e-30)).masked_fill_(is_flat(low, high), 0)
