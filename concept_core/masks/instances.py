"""One mask for each thing, where a concept's mask holds several of a kind."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import pictures_for
from ..maps.presence import highest_patch
from ..maps.selection import gather, select
from .boxes import Detection, detection
from .masks import EDGE_RADIUS, MIN_AREA, at_pixels, masks, say
from .morphology import CORNERS_CONNECT, HALF

SPLIT = 0.1


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

    They are the connected parts of the soft mask, and where a part has several peaks of the map, one for each (peaks_of). Together they
    are that mask without the parts that cover less than min_area of the picture. image: see pictures_for. progress is called for each
    picture and selection, tell with a sentence on each that is not found. ValueError for a clip, an unknown concept, raw scores.
    """
    if maps.is_clip:
        raise ValueError("These maps are of a clip. Concept Instances cannot follow a thing from frame to frame: use Concept Mask.")
    maps.check_softmax("Raw scores cannot tell how sure a thing is")
    selections = select(maps, concept)
    found = masks(maps, concept, "soft", image=image, min_area=min_area, progress=progress, tell=tell).unflatten(0, (-1, len(selections)))
    values = gather(maps.values, selections, softmaxed=True)
    result: list[list[Instance]] = []
    for number, picture in enumerate(pictures_for(maps, image)):
        result.append([])
        for selection, map_, mask in zip(selections, values[number], found[number].numpy()):
            apart = _things(maps, map_, mask, picture, min_area * mask.size, split)
            things = [_instance(selection.label, map_, thing, _pixels_per_token(maps, mask)) for thing in apart]
            things = [_numbered(thing, place) for place, thing in enumerate(sorted(things, key=ORDERS[order]), 1)]
            result[-1] += things[skip:][: max_count or None]
    return result


def _numbered(thing, place):
    return replace(thing, found=replace(thing.found, label=f"{thing.found.label} {place}"))


def _things(maps, map_, mask, picture, least_area, split):
    """The mask [H, W] of each thing in a mask."""
    within = mask >= HALF
    owners, count = ndimage.label(within, CORNERS_CONNECT)
    peaks = peaks_of(map_.numpy(), split)
    for part, places in _peaks_by_part(peaks, map_.numpy(), owners, _pixels_per_token(maps, mask)).items():
        if len(places) > 1:
            alone = torch.stack([torch.where(torch.from_numpy(peaks == place), map_, 0) for place in places])
            owner = _shared_out(owners == part, at_pixels(maps, alone, picture, EDGE_RADIUS).numpy(), least_area)
            owners = np.where((owners == part) & (owner > 0), count + owner, owners)
            count += len(places)
    owners[(np.bincount(owners.ravel()) < least_area)[owners]] = 0
    owners = owners[_nearest(owners > 0)]
    return [np.where(owners == owner, mask, np.float32(0)) for owner in np.unique(owners) if owner]


def _pixels_per_token(maps, mask):
    return maps.pixels_per_token * mask.shape[0] / maps.image_size[0]


def _shared_out(part, values, least_area):
    """[H, W] int: whose pixel of a part [H, W] each is, 1..N, by N peaks' values [N, H, W]; a peak with less than that area has none."""
    owner = np.where(part & (values.max(0) > 0), values.argmax(0) + 1, 0)
    owner[(np.bincount(owner.ravel()) < least_area)[owner]] = 0
    return owner[_nearest(owner > 0)] if owner.any() else owner


def _nearest(within):
    """Of each pixel the index of the nearest one within, which is itself for those."""
    return tuple(ndimage.distance_transform_edt(~within, return_distances=False, return_indices=True))


def _peaks_by_part(peaks, map_, parts, side):
    """Which peaks lie in each connected part: those whose highest token touches it, and no other one more."""
    found: dict[int, list[int]] = {}
    for place in range(1, peaks.max() + 1):
        token = np.unravel_index(np.where(peaks == place, map_, -np.inf).argmax(), peaks.shape)
        touched = np.bincount(parts[tuple(slice(int(i * side), int(i * side + side)) for i in token)].ravel(), minlength=1)
        touched[0] = 0
        if touched.any():
            found.setdefault(int(touched.argmax()), []).append(place)
    return found


def _instance(label, map_, mask, side):
    within = mask >= HALF
    rows, columns = within.nonzero()
    touched = torch.zeros(map_.shape, dtype=torch.bool)
    touched[torch.from_numpy((rows / side).astype(int)), torch.from_numpy((columns / side).astype(int))] = True
    middle = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
    return Instance(mask, middle, len(rows), detection(label, highest_patch(torch.where(touched, map_, 0)).item(), within))


def peaks_of(values: np.ndarray, split: float) -> np.ndarray:
    """[h, w] → int [h, w]: which peak each token belongs to, from 1 on.

    From the highest token down each joins a neighbour's peak. Where two peaks meet, the lower one goes on by itself if it rises above that
    saddle by at least `split` of the way from the map's lowest to its highest value, and else is part of the higher one: 0-dimensional
    persistence (Edelsbrunner, Letscher and Zomorodian, 2002).
    """
    height, width = values.shape
    order = np.argsort(-values, axis=None, kind="stable")
    least = split * (values.max() - values.min())
    flat = values.ravel()
    peak_of = np.full(values.size, -1)  # of a token, the first token of its peak
    joined: dict[int, int] = {}

    def root(token):
        while token in joined:
            token = joined[token]
        return token

    for token in order:
        y, x = divmod(int(token), width)
        around = [
            root(peak_of[row * width + column])
            for row in range(max(0, y - 1), min(height, y + 2))
            for column in range(max(0, x - 1), min(width, x + 2))
            if peak_of[row * width + column] >= 0
        ]
        if not around:
            peak_of[token] = token
            continue
        highest = max(around, key=lambda peak: flat[peak])
        for peak in set(around) - {highest}:
            if flat[peak] - flat[token] < least:
                joined[peak] = highest
        peak_of[token] = highest
    roots = np.array([root(peak) for peak in peak_of])
    return (np.unique(roots, return_inverse=True)[1] + 1).reshape(values.shape)
