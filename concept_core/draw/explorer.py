"""Maps for the Explorer, which draws them in the browser; and the mask that it shows."""

import base64
import logging

import torch
from torch import Tensor

from ..maps.maps import Maps
from ..maps.pictures import pictures_for
from ..maps.presence import presence
from ..maps.selection import Selection, select
from ..masks.masks import at_pixels, check_that_concepts_compete
from .colormaps import COLORMAPS
from .heatmaps import EACH_ALONE, scaled
from .segmentation import PALETTE

LEVELS = 65535  # of a value in 16 bit


def explorable(maps: Maps) -> dict:
    """What the browser draws from, as JSON: names, sizes and colours, and the maps at their own resolution.

    `presence` [B][shown], of shares. `values` is base64 of little-endian uint16 [B, C, h, w], evenly spaced from `low` to
    `high`, which are 0 and 1 of shares.
    """
    values = maps.values
    low, high = (0.0, 1.0) if maps.softmaxed else (float(values.min()), float(values.max()))
    levels = ((values.double() - low) / max(high - low, 1e-30) * LEVELS).round_().clamp_(0, LEVELS)
    return {
        "names": maps.names,
        "shown": maps.num_shown,
        "shares": maps.softmaxed,
        "shape": list(values.shape),
        "image_size": maps.image_size,
        "pixels_per_token": maps.pixels_per_token,
        "low": low,
        "high": high,
        "values": base64.b64encode(levels.numpy().astype("<u2").tobytes()).decode(),
        "presence": presence(maps, select(maps, "*")).tolist() if maps.softmaxed else None,
        "palette": PALETTE,
        "colormap": COLORMAPS["plasma"].split(),
    }


def pinned_mask(maps: Maps, pinned: str, threshold: float, image: Tensor | None = None) -> Tensor:
    """[B, H, W] float32, 0 or 1: where the joined map of the pinned concepts is at least the threshold; zeros if none is pinned.

    pinned: as selection.select reads it, all of it joined. threshold: a share; of raw scores the way from the map's lowest to
    its highest. image: see pictures_for; the masks take its size. ValueError for an unknown concept.
    """
    pictures = pictures_for(maps, image)
    if not pinned.strip():
        logging.info("Concept Attention: no concept is pinned in the Explorer, so its mask is empty.")
        return torch.zeros(len(maps.values), *(maps.image_size if image is None else image.shape[1:3]))
    check_that_concepts_compete(maps)
    members = dict.fromkeys(member for selection in select(maps, pinned) for member in selection.members)
    joined = Selection(pinned, tuple(members)).of(maps.values, maps.softmaxed)
    if not maps.softmaxed:
        joined = scaled(joined[:, None], EACH_ALONE)[:, 0]
    smooth = [at_pixels(maps, values[None], picture, edge_radius=0)[0] for values, picture in zip(joined, pictures)]
    return (torch.stack(smooth) >= threshold).float()
