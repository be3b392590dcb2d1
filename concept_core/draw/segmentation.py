"""All concepts at once: each pixel in the colour of the concept that has the most of it."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import pictures_for
from ..maps.presence import labelled
from ..masks.masks import absent, say, winners
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
    """segmentation [B, H, W, 3] and masks [B·C, H, W], picture by picture and concept by concept within it, in 0..1.

    Every pixel belongs to one concept, whose colour lies over the picture in grey. Where the background list wins the picture stays as it
    is, or black without one.
    image: see pictures_for; both outputs take its size and its edges. progress is called after each picture, tell with a sentence
    for each concept that is not found. ValueError where one concept alone is named.
    """
    segmentations, masks = [], []
    for number, picture in enumerate(pictures_for(maps, image), 1):
        single = maps.of_picture(number - 1)
        winner = winners(single, picture)
        parts = torch.stack([winner == place for place in range(maps.num_shown)])
        for name, part in zip(maps.names, parts):
            if not part.any():
                tell(absent(name, number))
        segmentation = _coloured(winner, colours(maps.names), parts.any(0), picture, opacity)
        segmentations.append(draw_legend(segmentation, labelled(single), colours(maps.names[: maps.num_shown])) if labels else segmentation)
        masks.append(parts.float())
        progress()
    return torch.stack(segmentations), torch.cat(masks)


def _coloured(winner, palette, shown, picture, opacity):
    if picture is None:
        return torch.where(shown[..., None], palette[winner], 0)
    return torch.where(shown[..., None], torch.lerp(greyed(picture, opacity), palette[winner], opacity), picture)
