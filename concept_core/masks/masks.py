"""Masks from maps: edges follow the picture, then cut, small parts dropped, holes filled, grown, feathered, inverted."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import pictures_for, room_for, size_for
from ..maps.presence import ABSENT, presence
from ..maps.selection import Selection, at_least_0, select
from . import morphology, thresholds
from .pixels import EDGE_RADIUS, at_pixels
from .things import things_of

RELATIVE = {
    "soft": thresholds.soft,
    "mean": thresholds.above_mean,
    "otsu": thresholds.otsu,
}  # they stretch each map, so an absent concept's too
METHODS = ("soft", "threshold", "mean", "otsu", "winner")
ON_THE_WAY = "on the way"  # of each map from its lowest to its highest: a threshold for raw scores, and no choice of the mask node


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
    """[B·S, H, W] float32 in 0..1, picture by picture and selection by selection within it; of a clip selection by selection and
    frame by frame, with thresholds that all frames share.

    image: see pictures_for; the masks take its size and, unless edge_radius is 0, its edges. edge_radius: how far edges
    move, in pixels of the sampled picture. grow and feather: in pixels of the mask. min_area: a share of the picture.
    progress is called after each mask. A concept that is not found has a mask of zeros, and tell is called with a sentence on it. Of a
    thing, "a #2", it is the mask of a within that thing (things_of), before small parts are dropped.
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
    check_things(maps, selections)
    maps, pictures = maps.at_pictures(), pictures_for(maps, image)
    result, by_picture = room_for(maps, len(selections), *size_for(maps, image))
    chosen = Chosen.of(maps, selections)
    found, left = torch.empty(2, maps.num_pictures, len(selections), dtype=torch.bool)
    for number, picture in enumerate(pictures):
        for place, mask in enumerate(_cut(maps, chosen, number, method, threshold, picture, edge_radius)):
            if selections[place].things:
                mask = mask * _within_things(maps.of_picture(number), selections[place], picture)
            finished = morphology.finish(mask.numpy(), min_area, fill_holes, grow, feather)
            by_picture[number, place] = torch.from_numpy(finished)
            found[number, place], left[number, place] = bool(mask.any()), bool(finished.any())
            progress()
    labels = [selection.label for selection in selections]
    tell_of_missing(maps, labels, found, "nothing is found of", tell)
    tell_of_missing(maps, labels, left | ~(found.any(0) if maps.is_clip else found), "min_area or shrinking leaves nothing of", tell)
    return result.neg_().add_(1) if invert else result


def tell_of_missing(maps: Maps, labels: Iterable[str], found: Tensor, what: str, tell: Callable[[str], None]):
    """A sentence for each label that is in none of a clip's frames, or not in one of the pictures. found: [B, labels]."""
    rows = {"the clip": found.any(0)} if maps.is_clip else {f"picture {number}": row for number, row in enumerate(found, 1)}
    for where, row in rows.items():
        for label, there in zip(labels, row.tolist()):
            if not there:
                tell(f"{what} {label} in {where}.")


def empty_mask(maps: Maps, image: Tensor | None) -> Tensor:
    """[B, H, W] of zeros; image: see pictures_for."""
    return torch.zeros(len(pictures_for(maps, image)), *size_for(maps, image))


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


@dataclass(frozen=True)
class Chosen:
    """The selections' maps [B, S, h, w], below 0 where what is taken away is more, and whether each is there at all, [B, S]; in a clip it
    is there if any frame shows it."""

    selections: list[Selection]
    values: Tensor
    there: Tensor

    @classmethod
    def of(cls, maps: Maps, selections: list[Selection]) -> "Chosen":
        values = torch.stack([selection.of(maps.values, maps.softmaxed) for selection in selections], 1)
        there = presence(maps, selections) >= ABSENT if maps.softmaxed else torch.ones(values.shape[:2], dtype=torch.bool)
        return cls(selections, values, there.any(0).expand_as(there) if maps.is_clip else there)


def _cut(maps: Maps, chosen: Chosen, number: int, method, threshold, picture, edge_radius) -> list[Tensor] | Tensor:
    """One mask [H, W] per selection, for one of the pictures."""
    if method == "winner":
        return _winning(maps.of_picture(number), chosen.selections, picture, edge_radius)
    of_picture = chosen.values[number]
    values = at_least_0(at_pixels(maps, of_picture, picture, edge_radius), chosen.selections)
    if method == "threshold":
        maps.check_softmax("A threshold needs shares in 0..1, which some other methods do not")
        return (values >= threshold).float()
    if method == ON_THE_WAY:
        of_picture = at_least_0(of_picture, chosen.selections)
        low, high = of_picture.amin((1, 2), keepdim=True), of_picture.amax((1, 2), keepdim=True)
        return (values >= low + threshold * (high - low).masked_fill(high == low, 1)).float()
    among = at_least_0(chosen.values.transpose(0, 1), chosen.selections) if maps.is_clip else values
    cut = [
        RELATIVE[method](value, maps.softmaxed, all_of_it) if there else None
        for value, all_of_it, there in zip(values, among, chosen.there[number])
    ]
    return [torch.zeros_like(value) if mask is None else mask for value, mask in zip(values, cut)]


def _winning(maps, selections, picture, edge_radius):
    """Where a selection, its members joined, has more than any other concept; those that are taken away are among the others."""
    values = at_pixels(maps, maps.values[0], picture, edge_radius)
    winner = _strongest(values)
    return [
        (winner == selection.members[0]).float()
        if len(selection.members) == 1
        else (replace(selection, less=()).of(values[None], maps.softmaxed)[0] > _highest_of_others(values, selection)).float()
        for selection in selections
    ]


def _highest_of_others(values, selection):
    others = [place for place in range(len(values)) if place not in selection.members]
    return values[others].amax(0) if others else values.new_tensor(-torch.inf)


def _within_things(maps, selection, picture):
    """[H, W] bool of a single picture: the things that are meant, of each member where it has most."""
    owners = [things_of(maps, place, picture) if numbers else None for place, numbers in zip(selection.members, selection.things)]
    strongest = _strongest(at_pixels(maps, maps.values[0, list(selection.members)], picture, EDGE_RADIUS))
    meant = [
        strongest == at if owner is None else (strongest == at) & torch.from_numpy(np.isin(owner, numbers))
        for at, (owner, numbers) in enumerate(zip(owners, selection.things))
    ]
    return torch.stack(meant).any(0)


def check_things(maps: Maps, selections: list[Selection]):
    """ValueError where a thing is named in what has none."""
    numbered = [selection.label for selection in selections if selection.things]
    if numbered and maps.is_clip:
        raise ValueError(f'These maps are of a clip. Its things are not followed through it: leave out the number in "{numbered[0]}".')
    if numbered:
        maps.check_softmax("Raw scores cannot tell things apart")


def check_that_concepts_compete(maps: Maps):
    """ValueError for one concept alone: its raw scores may be highest where it is not."""
    if len(maps.names) < 2:
        raise ValueError(
            f'"{maps.names[0]}" is the only concept and has nothing to compete with, so no mask can tell where it is: name what else is in '
            "the picture in Encode Concepts, among the concepts or as background, and queue again."
        )
