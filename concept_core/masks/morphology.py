"""Masks as shapes: small parts dropped, holes filled, grown or shrunk by a disc, feathered by distance.

Each takes and gives one mask, a numpy array [H, W] float32 in 0..1, and handles grey ones too.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage

CORNERS_CONNECT = np.ones((3, 3), dtype=bool)
HALF = 0.5  # of a grey mask, what is at least this is within
CORE = 0.95  # of a part's height
LEVELS = 2**16 - 1  # of a grey mask that is grown
STRIP, THREADS = 512, 4  # bytes of a row that are worked on at once, so that they stay in a processor's cache; such strips at a time


def finish(mask: np.ndarray, min_area: float = 0, fill_holes: bool = False, grow: int = 0, feather: float = 0) -> np.ndarray:
    """Small parts dropped, then holes filled, then grown, then feathered; a zero or False leaves a step out."""
    if min_area > 0:
        mask = without_small_parts(mask, min_area)
    if fill_holes:
        mask = without_holes(mask)
    if grow != 0:
        mask = grown(mask, grow)
    if feather > 0:
        mask = feathered(mask, feather)
    return mask


def without_small_parts(mask: np.ndarray, min_area: float) -> np.ndarray:
    """Without the connected parts whose pixels of at least a half cover less than `min_area` of the picture, a share in 0..1."""
    parts, _ = ndimage.label(mask > 0, CORNERS_CONNECT)
    keep = np.bincount(parts.ravel(), weights=(mask >= HALF).ravel()) >= min_area * mask.size
    keep[0] = False
    return mask * keep[parts]


def without_holes(mask: np.ndarray) -> np.ndarray:
    """1 in every hole: whatever lies below a half and cannot reach the picture's border outside the mask."""
    within = mask >= HALF
    return np.where(ndimage.binary_fill_holes(within) & ~within, np.float32(1), mask)


def grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Grown by a disc of that radius, shrunk where it is negative; the picture's border does not shrink a mask."""
    if pixels < 0:
        return 1 - grown(1 - mask, -pixels)
    if ((mask == 0) | (mask == 1)).all():
        return _dilated(mask.astype(np.uint8), pixels).astype(mask.dtype)
    # Half the bytes take half the time; what lies between two of 65,536 levels takes the nearer one.
    return _dilated((mask * LEVELS + HALF).astype(np.uint16), pixels) / np.float32(LEVELS)


def _dilated(mask, radius):
    """The disc is a square, and its rows above and below that and columns beside it: 0.59 of its radius in all, each with its mirror."""
    half = math.isqrt(radius**2 // 2)
    result = ndimage.maximum_filter(mask, 2 * half + 1, mode="constant", cval=0)
    with ThreadPoolExecutor(THREADS) as threads:
        for turned, source in ((result, mask), (result.T, mask.T)):
            side = STRIP // mask.itemsize
            strips = [slice(start, start + side) for start in range(0, turned.shape[1], side)]
            list(threads.map(lambda strip: _add_rows(turned[:, strip], source, strip.start, radius, half), strips))
    return result


def _add_rows(strip, mask, start, radius, half):
    """To columns of the result from `start` what the disc's rows add that lie above and below its square.

    Two windows whose length is a power of 2 cover a row, and the highest values in those come from windows half as long, so a row takes
    the same few passes however long it is (Urbach and Wilkinson, 2008).
    """
    height, columns = strip.shape
    reach = min(half, mask.shape[1] - 1)
    highest, length = _with_zeros_around(mask, start - reach, start + columns + reach), 1
    if highest.max() <= strip.min():
        return
    found, row = np.zeros((2, height, columns), mask.dtype)
    for dy in range(min(radius, height - 1), half, -1):
        side = min(math.isqrt(radius**2 - dy**2), reach)
        while 2 * length <= 2 * side + 1:
            highest = np.maximum(highest[:, :-length], highest[:, length:])
            length *= 2
        left, right = reach - side, reach + side + 1 - length
        np.maximum(highest[:, left : left + columns], highest[:, right : right + columns], out=row)
        np.maximum(found[dy:], row[: height - dy], out=found[dy:])
        np.maximum(found[: height - dy], row[dy:], out=found[: height - dy])
    np.maximum(strip, found, out=strip)


def _with_zeros_around(mask, start, stop):
    """Columns from start to stop, of which some may lie outside the mask."""
    inside = np.ascontiguousarray(mask[:, max(0, start) : stop])
    return np.pad(inside, ((0, 0), (max(0, -start), max(0, stop - mask.shape[1]))))


def feathered(mask: np.ndarray, pixels: float) -> np.ndarray:
    """With an edge that falls evenly to 0 over that many pixels, outwards from each part's core."""
    core = _cores(mask)
    if not core.any():
        return mask
    reach = tuple(_span(core.any(axis), pixels) for axis in (1, 0))
    distance, nearest = ndimage.distance_transform_edt(~core[reach], return_indices=True)
    result = mask.astype(np.float32)
    result[reach] = np.maximum(mask[reach], mask[reach][tuple(nearest)] * (1 - distance / pixels))
    return result


def _span(occupied, margin):
    """Of a row of booleans the part that holds what is True, and as much around it."""
    (places,) = occupied.nonzero()
    margin = int(np.ceil(margin))
    return slice(max(0, places[0] - margin), places[-1] + margin + 1)


def _cores(mask):
    """Where each connected part of at least a half comes close to its own height."""
    within = mask >= HALF
    parts, count = ndimage.label(within, CORNERS_CONNECT)
    heights = np.full(count + 1, np.inf, dtype=mask.dtype)
    heights[1:] = 0
    np.maximum.at(heights, parts[within], mask[within])
    return mask >= CORE * heights[parts]
