"""Where things are, as boxes and points that other nodes read."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import by_picture
from ..maps.presence import presence
from ..maps.selection import select
from .masks import masks
from .morphology import CORNERS_CONNECT, without_small_parts
from .things import MIN_AREA


@dataclass(frozen=True)
class Detection:
    """Of one concept in one picture, in pixels from the top left corner.

    presence: 0..1. box: (x, y, width, height) of all its parts; point: (x, y), inside its largest part
    and farthest from that part's edge; both None where the concept is not found.
    """

    label: str
    presence: float
    box: tuple[int, int, int, int] | None
    point: tuple[int, int] | None


def detections(
    maps: Maps, concept: str = "*", image: Tensor | None = None, progress: Callable[[], None] = lambda: None
) -> list[list[Detection]]:
    """For each picture or frame one place per selection: where its soft mask is a half or more, parts under MIN_AREA left out.

    image: see pictures_for; they are in its pixels. progress is called for each. ValueError for an unknown concept, or raw scores.
    """
    selections = select(maps, concept)
    scores = presence(maps.at_pictures(), selections).tolist()
    found = by_picture(maps, masks(maps, concept, "soft", image=image, progress=progress))
    return [
        [
            detection(selection.label, score, without_small_parts((mask >= 0.5).numpy(), MIN_AREA))
            for selection, score, mask in zip(selections, row, picture)
        ]
        for row, picture in zip(scores, found)
    ]


def detection(label: str, presence: float, within: np.ndarray) -> Detection:
    """Of what lies within, [H, W] bool."""
    if not within.any():
        return Detection(label, presence, None, None)
    rows, columns = np.flatnonzero(within.any(1)), np.flatnonzero(within.any(0))
    left, top, right, bottom = (int(it) for it in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    return Detection(label, presence, (left, top, right - left, bottom - top), _innermost(within))


def _innermost(within):
    parts, _ = ndimage.label(within, CORNERS_CONNECT)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    depth = ndimage.distance_transform_edt(np.pad(parts == sizes.argmax(), 1))[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return int(x), int(y)


def boxes(found: list[list[Detection]]) -> list[list[dict]]:
    """For each picture the boxes of what is found in it, as ComfyUI's detection nodes give them."""
    return [[_box(place) for place in row if place.box is not None] for row in found]


def _box(place):
    return dict(zip(("x", "y", "width", "height"), place.box), label=place.label, score=place.presence)


def points(found: list[list[Detection]]) -> list[str]:
    """For each picture and selection a JSON list of one point, or none."""
    return [json.dumps([] if place.point is None else [dict(zip("xy", place.point))]) for row in found for place in row]


def report(found: list[list[Detection]], unit: str = "picture") -> str:
    """One line per picture and selection, for people. unit: what each of several is."""
    numbered = [(f"{unit} {number}: " if len(found) > 1 else "", row) for number, row in enumerate(found, 1)]
    return "\n".join(_line(place, where) for where, row in numbered for place in row)


def _line(place, picture):
    where = "not found" if place.box is None else "{2} x {3} at {0}, {1}".format(*place.box)
    return f"{picture}{place.label} {place.presence:.2f}, {where}"
