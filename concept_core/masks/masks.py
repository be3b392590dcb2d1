"""Masks from maps: edges follow the picture, then cut, small parts dropped, holes filled, grown, feathered, inverted."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import pictures_for
from ..maps.presence import ABSENT, presence
from ..maps.resize import upsample
from ..maps.selection import gather, select
from . import morphology, thresholds
from .edges import follow_edges

RELATIVE = {
    "soft": thresholds.soft,
    "mean": thresholds.above_mean,
    "otsu": thresholds.otsu,
}  # they stretch each map, so an absent concept's too
METHODS = ("soft", "threshold", "mean", "otsu", "winner")
ON_THE_WAY = "on the way"  # of each map from its lowest to its highest: a threshold for raw scores, and no choice of the mask node
EDGE_RADIUS = 32
CELLS_PER_RADIUS = 4
MIN_AREA = 0.001  # of the picture


def say(text: str):
    logging.info("Concept Attention: %s", text)


def masks(
    maps: Maps,
    concept: str = "*",
    method: str = "soft",
    threshold: float = 0.5,
    image: Tensor | None = None,
    edge_radius: int = EDGE_RADIUS,
    grow: int = 0,
    feather: float = 0.0,
    fill_holes: bool = False,
    min_area: float = 0.0,
    invert: bool = False,
    progress: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = say,
) -> Tensor:
    """[B·S, H, W] float32 in 0..1, picture by picture and selection by selection within it.

    image: see pictures_for; the masks take its size and, unless edge_radius is 0, its edges. edge_radius: how far edges
    move, in pixels of the sampled picture. grow and feather: in pixels of the mask. min_area: a share of the picture.
    progress is called after each mask. A concept that is not found has a mask of zeros, and tell is called with a sentence on it.
    ValueError for an unknown concept, raw scores where the method compares shares, values out of range.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in 0..1, it is {threshold:g}.")
    if not 0 <= min_area <= 1:
        raise ValueError(f"min_area is a share of the picture in 0..1, it is {min_area:g}.")
    for name, value in (("edge_radius", edge_radius), ("feather", feather)):
        if not value >= 0:
            raise ValueError(f"{name} must be 0 or more, it is {value:g}.")
    selections = select(maps, concept)
    check_that_concepts_compete(maps)
    result = []
    for number, picture in enumerate(pictures_for(maps, image), 1):
        cut = _cut(maps.of_picture(number - 1), selections, method, threshold, picture, edge_radius)
        for selection, mask in zip(selections, cut):
            result.append(torch.from_numpy(morphology.finish(mask.numpy(), min_area, fill_holes, grow, feather)))
            if not mask.any():
                tell(absent(selection.label, number))
            elif not result[-1].any():
                tell(f"min_area or shrinking leaves nothing of {selection.label} in picture {number}.")
            progress()
    result = torch.stack(result)
    return 1 - result if invert else result


def absent(label: str, number: int) -> str:
    return f"nothing is found of {label} in picture {number}."


def empty_mask(maps: Maps, image: Tensor | None) -> Tensor:
    """[B, H, W] of zeros; image: see pictures_for."""
    pictures_for(maps, image)
    return torch.zeros(len(maps.values), *(maps.image_size if image is None else image.shape[1:3]))


def winners(maps: Maps, picture: Tensor | None, edge_radius: int = EDGE_RADIUS) -> Tensor:
    """[H, W] int64: which concept, background list included, has the highest value at each pixel of a single picture."""
    check_that_concepts_compete(maps)
    return _strongest(at_pixels(maps, maps.values[0], picture, edge_radius))


def _strongest(values: Tensor) -> Tensor:
    """[N, H, W] → argmax over N, [H, W]; PyTorch's own takes ten times as long over the first dimension."""
    highest, winner = values[0].clone(), torch.zeros(values.shape[1:], dtype=torch.int64)
    for place, value in enumerate(values[1:], 1):
        winner.masked_fill_(value > highest, place)
        torch.maximum(highest, value, out=highest)
    return winner


def at_pixels(maps: Maps, values: Tensor, picture: Tensor | None, edge_radius: int) -> Tensor:
    """[N, h, w] of one picture → [N, H, W], smooth, with the picture's edges if there is one [H, W, 3]."""
    size = maps.image_size if picture is None else tuple(picture.shape[:2])
    if picture is None or edge_radius == 0:
        return upsample(values[None], maps.pixels_per_token, maps.image_size, size)[0]
    scale = size[0] / maps.image_size[0]
    cell = max(1, round(scale * min(edge_radius / CELLS_PER_RADIUS, maps.pixels_per_token)))
    return follow_edges(upsample(values[None], maps.pixels_per_token, maps.image_size, size, cell)[0], picture, cell)


def _cut(maps, selections, method, threshold, picture, edge_radius):
    """One mask [H, W] per selection, for maps of a single picture."""
    if method == "winner":
        return _winning(maps, selections, picture, edge_radius)
    chosen = gather(maps.values, selections, maps.softmaxed)[0]
    values = at_pixels(maps, chosen, picture, edge_radius)
    if method == "threshold":
        maps.check_softmax("A threshold needs shares in 0..1, which some other methods do not")
        return (values >= threshold).float()
    if method == ON_THE_WAY:
        low, high = chosen.amin((1, 2), keepdim=True), chosen.amax((1, 2), keepdim=True)
        return (values >= low + threshold * (high - low).masked_fill(high == low, 1)).float()
    there = presence(maps, selections)[0] >= ABSENT if maps.softmaxed else torch.ones(len(selections))
    found = [RELATIVE[method](value, maps.softmaxed) if present else None for value, present in zip(values, there)]
    return [torch.zeros_like(value) if mask is None else mask for value, mask in zip(values, found)]


def _winning(maps, selections, picture, edge_radius):
    """Where a selection, its members joined, has more than any other concept."""
    values = at_pixels(maps, maps.values[0], picture, edge_radius)
    winner = _strongest(values)
    return [
        (winner == selection.members[0]).float()
        if len(selection.members) == 1
        else (selection.of(values[None], maps.softmaxed)[0] > _highest_of_others(values, selection)).float()
        for selection in selections
    ]


def _highest_of_others(values, selection):
    others = [place for place in range(len(values)) if place not in selection.members]
    return values[others].amax(0) if others else values.new_tensor(-torch.inf)


def check_that_concepts_compete(maps: Maps):
    """ValueError for one concept alone: its raw scores may be highest where it is not."""
    if len(maps.names) < 2:
        raise ValueError(
            f'"{maps.names[0]}" is the only concept and has nothing to compete with, so no mask can tell where it is: name what else is in '
            "the picture in Encode Concepts, among the concepts or as background, and queue again."
        )
