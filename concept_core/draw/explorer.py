"""Maps for the Explorer, which draws them in the browser; and the mask that it shows."""

import base64
from collections.abc import Callable, Iterator
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..concepts.prompt_words import places_in
from ..maps.maps import Maps
from ..maps.pictures import pictures_for, size_for
from ..maps.presence import presence
from ..maps.selection import select, select_known
from ..masks.masks import ON_THE_WAY, empty_mask, masks, say
from ..masks.pixels import EDGE_RADIUS, at_pixels
from ..masks.things import MIN_AREA, things_of
from .colormaps import COLORMAPS
from .palette import colours_of

LEVELS = 65535  # of a value in 16 bit
DRAWN = 768  # side of what the browser draws, in pixels
TOLD_APART_TOGETHER = 2**24  # pixels of the maps that tell touching things apart
MOST_THINGS = 255  # of a concept, that can be told apart in the browser
DRAWN_TOGETHER = 2**23  # pixels of all maps with edges: about a second, and some MB


def explorable(maps: Maps, prompt: str = "") -> dict:
    """What the browser draws from, as JSON: names, sizes and colours, and the maps at their own resolution.

    Of a clip they are those of each frame. `prompt`: its text, and [start, end, place] of what it says of the concepts, in UTF-16 units.

    `presence` [B][shown], of shares. `values` is base64 of little-endian uint16 [B, C, h, w], evenly spaced from `low` to
    `high`, which are 0 and 1 of shares.
    """
    maps = maps.at_pictures()
    values = maps.values
    low, high = (0.0, 1.0) if maps.softmaxed else (float(values.min()), float(values.max()))
    levels = ((values.double() - low) / max(high - low, 1e-30) * LEVELS).round_().clamp_(0, LEVELS)
    return {
        "names": maps.names,
        "is_clip": maps.is_clip,
        "shown": maps.num_shown,
        "shares": maps.softmaxed,
        "shape": list(values.shape),
        "image_size": maps.image_size,
        "pixels_per_token": maps.pixels_per_token,
        "low": low,
        "high": high,
        "values": base64.b64encode(levels.numpy().astype("<u2").tobytes()).decode(),
        "presence": presence(maps, select(maps, "*")).tolist() if maps.softmaxed else None,
        "colours": colours_of(maps.names[: maps.num_shown]),
        "colormaps": {name: colours.split() for name, colours in COLORMAPS.items()},
        "min_area": MIN_AREA,
        "prompt": {"text": prompt, "places": in_utf_16(prompt, places_in(prompt, maps.names))},
    }


def in_utf_16(text: str, places: list[tuple[int, int, int]]) -> list[list[int]]:
    """(start, end, …) as the browser counts letters."""
    at = [0, *accumulate(1 + (ord(letter) > 0xFFFF) for letter in text)]
    return [[at[start], at[end], place] for start, end, place in places]


def with_edges(maps: Maps, image: Tensor) -> Iterator[Tensor]:
    """For each picture or frame [C, H, W] uint8: the maps with its edges, 0 and 255 being each map's own lowest and highest value.

    They are as large as the browser draws them, smaller where there are many.
    """
    maps, pictures = maps.at_pictures(), pictures_for(maps, image)
    size = drawn_size(tuple(image.shape[1:3]), maps.values.shape[0] * maps.values.shape[1])
    for number, picture in enumerate(pictures):
        small = adaptive_avg_pool2d(picture.movedim(-1, 0), size).movedim(0, -1)
        values = maps.values[number]
        low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
        levels = (at_pixels(maps, values, small, EDGE_RADIUS) - low) / (high - low).clamp(min=1e-30)
        yield (levels * 255).round_().clamp_(0, 255).byte()


def with_things(maps: Maps, image: Tensor | None) -> Iterator[Tensor]:
    """For each picture [C, H, W] uint8 of that size: whose a pixel is among a concept's things, 1 to 255, and 0 if it has none (things_of).

    Nothing of a clip or of raw scores, which have none. Where so many touch that it would take long, a concept has none either.
    """
    if maps.is_clip or not maps.softmaxed:
        return
    left = TOLD_APART_TOGETHER

    def afford(pixels):
        nonlocal left
        if pixels > left:
            return False
        left -= pixels
        return True

    size = size_for(maps, image)
    places = range(len(maps.names))
    down, across = (at_centres(side, drawn) for side, drawn in zip(size, drawn_size(size, len(maps.values) * len(places))))
    for number, picture in enumerate(pictures_for(maps, image)):
        owners = [things_of(maps.of_picture(number), place, picture, afford)[np.ix_(down, across)] for place in places]
        yield torch.from_numpy(np.stack([np.where(them <= MOST_THINGS, them, 0) for them in owners]).astype(np.uint8))


def at_centres(pixels: int, drawn: int) -> np.ndarray:
    """[drawn] int: which of so many pixels in a row lies in the middle of each that is drawn."""
    return ((np.arange(drawn) + 0.5) * pixels / drawn).astype(int)


def drawn_size(size: tuple[int, int], count: int) -> tuple[int, int]:
    """Of a picture's height and width, where so many maps are drawn."""
    height, width = size
    scale = min(1, DRAWN / max(size), (DRAWN_TOGETHER / count / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def selected_mask(
    maps: Maps, selected: str, threshold: float, image: Tensor | None = None, tell: Callable[[str], None] = say
) -> tuple[Tensor, str]:
    """The mask of the selected concepts [B·S, H, W], as Concept Mask's method threshold makes it; and their names.

    selected: as selection.select reads it; names that are not there are left out, and where none is left the mask is [B, H, W] of zeros.
    threshold: a share; of raw scores the way from a map's lowest to its highest. image: see pictures_for.
    """
    selections, unknown = select_known(maps, selected)
    known = ", ".join(selection.label for selection in selections)
    if unknown:
        tell(f"there is no map of {', '.join(unknown)}, selected in the Explorer.")
    if not selections:
        tell("no concept is selected in the Explorer, so its mask is empty.")
        return empty_mask(maps, image), known
    method = "threshold" if maps.softmaxed else ON_THE_WAY
    return masks(maps, known, method, threshold, image, min_area=MIN_AREA, tell=tell), known
