"""One mask for each thing, where a concept's mask holds several of a kind."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import pictures_for
from ..maps.presence import highest_patch
from ..maps.selection import gather, select
from .boxes import Detection, detection
from .masks import masks, say
from .morphology import HALF
from .things import MIN_AREA, SPLIT, owners_of, pixels_per_token


@dataclass(frozen=True)
class Instance:
    """mask: [H, W] float32 in 0..1. middle: (x, y) of its box. area: its pixels of at least a half."""

    mask: np.ndarray
    middle: tuple[float, float]
    area: int
    found: Detection


ORDERS: dict[str, Callable[[Instance], float]] = {
    "left to right": lambda it: it.middle[0],
    "top to bottom": lambda it: it.middle[1],
    "largest first": lambda it: -it.area,
    "surest first": lambda it: -it.found.presence,
}


def instances(
    maps: Maps,
    concept: str,
    image: Tensor | None = None,
    min_area: float = MIN_AREA,
    max_count: int = 0,
    order: str = "left to right",
    split: float = SPLIT,
    skip: int = 0,
    progress: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = say,
) -> list[list[Instance]]:
    """For each picture the things of the first selection, then those of the next; of each without the first `skip`, and at most max_count
    unless that is 0.

    They are the connected parts of the soft mask, and where a part has several peaks of the map, one for each. Together they are that mask
    without the parts that cover less than min_area of the picture. image: see pictures_for. progress is called for each
    picture and selection, tell with a sentence on each that is not found. ValueError for a clip, an unknown concept, raw scores.
    """
    if maps.is_clip:
        raise ValueError("These maps are of a clip. Concept Instances cannot follow a thing from frame to frame: use Concept Mask.")
    maps.check_softmax("Raw scores cannot tell how sure a thing is")
    selections = select(maps, concept)
    for selection in selections:
        if selection.things:
            raise ValueError(f'"{selection.label}" is one thing already: leave out its number, and choose with skip and max_count.')
    found = masks(maps, concept, "soft", image=image, min_area=min_area, progress=progress, tell=tell).unflatten(0, (-1, len(selections)))
    values = gather(maps.values, selections, softmaxed=True)
    result: list[list[Instance]] = []
    for number, picture in enumerate(pictures_for(maps, image)):
        result.append([])
        for selection, map_, mask in zip(selections, values[number], found[number].numpy()):
            owners = owners_of(maps, map_, mask, picture, min_area, split)
            apart = [np.where(owners == number, mask, np.float32(0)) for number in range(1, owners.max() + 1)]
            things = [_instance(selection.label, map_, thing, pixels_per_token(maps, mask)) for thing in apart]
            things = [_numbered(thing, place) for place, thing in enumerate(sorted(things, key=ORDERS[order]), 1)]
            result[-1] += things[skip:][: max_count or None]
    return result


def _numbered(thing, place):
    return replace(thing, found=replace(thing.found, label=f"{thing.found.label} {place}"))


def _instance(label, map_, mask, side):
    within = mask >= HALF
    rows, columns = within.nonzero()
    touched = torch.zeros(map_.shape, dtype=torch.bool)
    touched[torch.from_numpy((rows / side).astype(int)), torch.from_numpy((columns / side).astype(int))] = True
    middle = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
    return Instance(mask, middle, len(rows), detection(label, highest_patch(torch.where(touched, map_, 0)).item(), within))
