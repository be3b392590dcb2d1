"""Masks as shapes: small parts dropped, holes filled, grown or shrunk by a disc, feathered by distance.

Each takes and gives one mask, a numpy array [H, W] float32 in 0..1, and handles grey ones too.
"""

import numpy as np
from scipy import ndimage

CORNERS_CONNECT = np.ones((3, 3), dtype=bool)
HALF = 0.5  # of a grey mask, what is at least this is within
CORE = 0.95  # of a part's height


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
    result = mask.copy()
    for dy in range(min(pixels, len(mask) - 1) + 1):
        row = _running_maximum(mask, _half_width(pixels, dy))
        np.maximum(result[dy:], row[: len(row) - dy], out=result[dy:])
        np.maximum(result[: len(row) - dy], row[dy:], out=result[: len(row) - dy])
    return result


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


def _half_width(radius, dy):
    """Of the disc's row, in pixels: all centres within the radius."""
    return int(np.sqrt(radius**2 - dy**2))


def _running_maximum(mask, half):
    """The highest of the 2·half + 1 pixels around each along a row."""
    return ndimage.maximum_filter1d(mask, 2 * half + 1, axis=1, mode="constant", cval=0)
