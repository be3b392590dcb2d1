"""All concepts at once: each pixel in the colour of the concept that has the most of it."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import pictures_for, room_for, size_for
from ..maps.presence import labelled
from ..masks.masks import say, tell_of_missing, winners
from .colormaps import greyed
from .labels import draw_legend
from .palette import colours


def segment(
    maps: Maps,
    image: Tensor | None = None,
    opacity: float = 0.6,
    labels: bool = True,
    progress: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = say,
) -> tuple[Tensor, Tensor]:
    """segmentation [B, H, W, 3] and masks [B·C, H, W], picture by picture and concept by concept within it, in 0..1; the masks of a
    clip concept by concept and frame by frame.

    Every pixel belongs to one concept, whose colour lies over the picture in grey. Where the background list wins the picture stays as it
    is, or black without one.
    image: see pictures_for; both outputs take its size and its edges. progress is called after each picture, tell with a sentence
    for each concept that is not found. ValueError where one concept alone is named.
    """
    maps, pictures, size = maps.at_pictures(), pictures_for(maps, image), size_for(maps, image)
    segmentations = torch.empty(maps.num_pictures, *size, 3)
    masks, by_picture = room_for(maps, maps.num_shown, *size)
    for number, (segmentation, picture) in enumerate(zip(segmentations, pictures)):
        single = maps.of_picture(number)
        winner = winners(single, picture)
        parts = torch.stack([winner == place for place in range(maps.num_shown)])
        segmentation.copy_(_coloured(winner, colours(maps.names), parts.any(0), picture, opacity))
        if labels:
            draw_legend(segmentation, labelled(single), colours(maps.names[: maps.num_shown]))
        by_picture[number] = parts
        progress()
    tell_of_missing(maps, maps.names, by_picture.flatten(2).any(2), "nothing is found of", tell)
    return segmentations, masks


def _coloured(winner, palette, shown, picture, opacity):
    if picture is None:
        return torch.where(shown[..., None], palette[winner], 0)
    return torch.where(shown[..., None], torch.lerp(greyed(picture, opacity), palette[winner], opacity), picture)
