"""Masks from maps: edges follow the picture, then cut, small parts dropped, holes filled, grown, feathered, inverted."""

import logging

import torch
from torch import Tensor

from . import cuts, shapes
from .edges import follow_edges, grid
from .maps import Maps
from .pictures import pictures_for
from .presence import ABSENT, presence
from .resize import upsample
from .selection import gather, select

RELATIVE = {"soft": cuts.soft, "mean": cuts.above_mean, "otsu": cuts.otsu}  # they stretch each map, so an absent concept's too
METHODS = ("soft", "threshold", "mean", "otsu", "winner")
EDGE_RADIUS = 32
CELLS_PER_RADIUS = 8


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
) -> Tensor:
    """[B·S, H, W] float32 in 0..1, picture by picture and selection by selection within it.

    image: see pictures_for; the masks take its size and, unless edge_radius is 0, its edges. edge_radius: how far edges
    move, in pixels of the sampled picture. grow and feather: in pixels of the mask. min_area: a share of the picture.
    A concept that is not found has a mask of zeros, and the log says so. ValueError for an unknown concept, raw scores where the
    method compares shares, values out of range.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in 0..1, it is {threshold:g}.")
    if not 0 <= min_area <= 1:
        raise ValueError(f"min_area is a share of the picture in 0..1, it is {min_area:g}.")
    for name, value in (("edge_radius", edge_radius), ("feather", feather)):
        if not value >= 0:
            raise ValueError(f"{name} must be 0 or more, it is {value:g}.")
    selections = select(maps.finite(), concept)
    pictures = [None] * len(maps.values) if image is None else pictures_for(maps, image)
    result = []
    for number, picture in enumerate(pictures):
        cut = _cut(maps.of_picture(number), selections, method, threshold, picture, edge_radius)
        finished = [torch.from_numpy(shapes.finish(mask.numpy(), min_area, fill_holes, grow, feather)) for mask in cut]
        log_empty(finished, [selection.label for selection in selections], number)
        result += finished
    result = torch.stack(result)
    return 1 - result if invert else result


def winners(maps: Maps, picture: Tensor | None, edge_radius: int = EDGE_RADIUS) -> Tensor:
    """[H, W] int64: which concept, background list included, has the highest value at each pixel of a single picture."""
    if len(maps.names) < 2:
        raise ValueError("One concept alone has no winner: name what else there is, or a background, in Encode Concepts.")
    return at_pixels(maps, maps.values[0], picture, edge_radius).argmax(0)


def at_pixels(maps: Maps, values: Tensor, picture: Tensor | None, edge_radius: int) -> Tensor:
    """[N, h, w] of one picture → [N, H, W], smooth, with the picture's edges if there is one [H, W, 3]."""
    if picture is None or edge_radius == 0:
        size = maps.image_size if picture is None else tuple(picture.shape[:2])
        return upsample(values[None], maps.pixels_per_token, maps.image_size, size)[0]
    scale = picture.shape[0] / maps.image_size[0]
    cell = max(1, round(edge_radius * scale / CELLS_PER_RADIUS))
    coarse = upsample(values[None], maps.pixels_per_token, maps.image_size, grid(picture.shape[:2], cell))[0]
    return follow_edges(coarse, picture, cell)


def log_empty(masks, labels, number):
    absent = [label for label, mask in zip(labels, masks) if not mask.any()]
    if absent:
        logging.info("Concept Attention: nothing is found of %s in picture %d: an empty mask.", ", ".join(absent), number + 1)


def _cut(maps, selections, method, threshold, picture, edge_radius):
    """One mask [H, W] per selection, for maps of a single picture."""
    if method == "winner":
        winner = winners(maps, picture, edge_radius)
        return [torch.isin(winner, torch.tensor(selection.members)).float() for selection in selections]
    values = at_pixels(maps, gather(maps.values, selections, maps.shares)[0], picture, edge_radius)
    if method == "threshold":
        if not maps.shares:
            raise ValueError(
                "A threshold needs shares in 0..1: turn softmax on in Decode, and name two concepts or more, or a background, in "
                "Encode Concepts; or choose another method."
            )
        return (values >= threshold).float()
    there = presence(maps, selections)[0] >= ABSENT if maps.shares else torch.ones(len(selections))
    found = [RELATIVE[method](value, maps.shares) if present else None for value, present in zip(values, there)]
    return [torch.zeros_like(value) if mask is None else mask for value, mask in zip(values, found)]
