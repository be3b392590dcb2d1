"""Maps as pictures: scaled, coloured, laid over the picture, labelled."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import pictures_for
from ..maps.presence import labelled
from ..maps.resize import upsample
from .colormaps import colour
from .labels import draw_label

SCALES = ("all concepts together", "each concept alone", "absolute")


def heatmaps(
    maps: Maps,
    image: Tensor | None = None,
    colormap: str = "plasma",
    scale: str = SCALES[0],
    opacity: float = 0.7,
    labels: bool = True,
    progress: Callable[[], None] = lambda: None,
) -> Tensor:
    """[B·C, H, W, 3] in 0..1, picture by picture and concept by concept within it, the background list left out.

    image: see pictures_for; the heatmaps take its size. Labels give each concept's name and, of shares, its presence.
    progress is called after each heatmap.
    """
    values, pictures = maps.values[:, : maps.num_shown].float(), pictures_for(maps, image)
    size = maps.image_size if image is None else tuple(image.shape[1:3])
    texts = iter(labelled(maps) if labels else [])
    result = torch.empty(len(values), maps.num_shown, *size, 3)
    for drawn, value, picture in zip(result, values, pictures):
        smooth = upsample(value[None], maps.pixels_per_token, maps.image_size, size)
        for heatmap, shade in zip(drawn, scaled(smooth, scale, maps.softmaxed)[0]):
            colour(shade, colormap, out=heatmap)
            if picture is not None:
                torch.lerp(picture, heatmap, opacity, out=heatmap)
            if labels:
                draw_label(heatmap, next(texts))
            progress()
    return result.flatten(0, 1)


def scaled(values: Tensor, scale: str, softmaxed: bool) -> Tensor:
    """[B, C, H, W] to 0..1: lowest to highest of a picture's maps, of each map, or shares as they are."""
    if scale == "absolute":
        if not softmaxed:
            raise ValueError(
                "Absolute scale needs shares in 0..1: turn softmax on in Decode and name two concepts or more, or choose another scale."
            )
        return values
    over = (2, 3) if scale == "each concept alone" else (1, 2, 3)
    low, high = values.amin(over, keepdim=True), values.amax(over, keepdim=True)
    span = high - low
    flat = span <= 1e-6 * high.abs().clamp(min=1e-6)
    if flat.any():
        logging.warning("Concept Attention: a map is the same everywhere; it is drawn in the lowest colour.")
    return ((values - low) / span.clamp(min=1e-30)).masked_fill_(flat, 0)
