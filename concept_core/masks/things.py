"""Which thing a pixel belongs to, where a concept's mask holds several of a kind."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..maps.maps import Maps
from ..maps.presence import ABSENT, presence
from ..maps.selection import Selection
from .morphology import CORNERS_CONNECT, HALF, without_small_parts
from .pixels import EDGE_RADIUS, at_pixels
from .thresholds import soft

SPLIT = 0.1
MIN_AREA = 0.001  # of the picture


def things_of(maps: Maps, place: int, picture: Tensor | None, afford: Callable[[int], bool] = lambda pixels: True) -> np.ndarray:
    """[H, W] int: whose each pixel of a single picture is among the things of the concept at that place; see owners_of.

    They are those of Concept Instances, unless it is told otherwise. 0 everywhere if there is none. ValueError for raw scores.
    """
    selection = Selection(maps.names[place], (place,))
    size = maps.image_size if picture is None else picture.shape[:2]
    if presence(maps, [selection]).item() < ABSENT:
        return np.zeros(size, int)
    map_ = maps.values[0, place]
    mask = soft(at_pixels(maps, map_[None], picture, EDGE_RADIUS)[0], True)
    if mask is None:
        return np.zeros(size, int)
    return owners_of(maps, map_, without_small_parts(mask.numpy(), MIN_AREA), picture, MIN_AREA, SPLIT, afford)


def owners_of(
    maps: Maps,
    map_: Tensor,
    mask: np.ndarray,
    picture: Tensor | None,
    min_area: float,
    split: float,
    afford: Callable[[int], bool] = lambda pixels: True,
) -> np.ndarray:
    """[H, W] int: whose each pixel is among the things of a soft mask [H, W], from 1 on, from left to right by the middles of their boxes.

    map_: [h, w], that of the mask. A pixel outside of the mask is the nearest thing's. Things are connected parts, and where a part has
    several peaks of the map (peaks_of), one for each. min_area, a share of the picture: what is smaller is part of another thing, or none.
    afford: asked where things touch with how many pixels of maps are to be made to tell them apart; 0 everywhere if it says no.
    """
    within = mask >= HALF
    least_area = min_area * mask.size
    owners, count = ndimage.label(within, CORNERS_CONNECT)
    peaks = peaks_of(map_.numpy(), split)
    touching = [them for them in _peaks_by_part(peaks, map_.numpy(), owners, pixels_per_token(maps, mask)).items() if len(them[1]) > 1]
    if touching and not afford(mask.size * sum(len(places) for _, places in touching)):
        return np.zeros(mask.shape, int)
    for part, places in touching:
        alone = torch.stack([torch.where(torch.from_numpy(peaks == place), map_, 0) for place in places])
        owner = _shared_out(owners == part, at_pixels(maps, alone, picture, EDGE_RADIUS).numpy(), least_area)
        owners = np.where((owners == part) & (owner > 0), count + owner, owners)
        count += len(places)
    owners[(np.bincount(owners.ravel()) < least_area)[owners]] = 0
    found = ndimage.find_objects(owners)
    left_to_right = sorted((number for number, box in enumerate(found, 1) if box), key=lambda number: _middle(found[number - 1]))
    if len(left_to_right) < 2:
        return np.full(mask.shape, len(left_to_right))
    numbers = np.zeros(len(found) + 1, int)
    numbers[left_to_right] = range(1, len(left_to_right) + 1)
    return numbers[owners[_nearest(owners > 0)]]


def _middle(box):
    return box[1].start + box[1].stop


def pixels_per_token(maps: Maps, mask: np.ndarray) -> float:
    """Of a mask [H, W], which may belong to a scaled copy of the maps' picture."""
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
