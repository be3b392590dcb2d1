"""Pictures for the page: maps beside what was painted, for the default settings and their neighbours."""

import base64
from collections.abc import Iterator
from io import BytesIO

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ..concept_core.api import decode, heatmaps
from ..concept_core.draw.heatmaps import ABSOLUTE, ALL_TOGETHER
from .card import Sampled

LARGE, SMALL = 256, 144  # pixels, the longer side
QUALITY = 82


def settings(depth: int) -> dict[str, dict]:
    """Name → options of decode: the default, and its neighbours in blocks, steps and temperature."""
    default = {"steps": "auto"}
    third = max(1, depth // 3)
    blocks = {"all blocks": "all", "first third of the blocks": f"0-{third - 1}"}
    if depth > 2 * third:
        blocks |= {"second third": f"{third}-{2 * third - 1}", "last third": f"{2 * third}-{depth - 1}"}
    return {
        "default": default,
        **{name: {**default, "blocks": chosen} for name, chosen in blocks.items()},
        "all steps": {"steps": "all"},
        "first half of the steps": {"steps": "all", "end_percent": 0.5},
        "second half of the steps": {"steps": "all", "start_percent": 0.5},
        **{f"temperature {factor:g}": {**default, "temperature": factor} for factor in (0.25, 0.5, 2.0, 4.0)},
    }


def rows(one: Sampled) -> Iterator[tuple[str, list[str]]]:
    """(setting, a picture for each concept), of a clip its middle frame. A setting that finds no step is left out."""
    depth = one.recording.depth
    frame = len(one.pictures) // 2
    small = scaled(one.pictures[frame : frame + 1], SMALL)
    for name, options in settings(depth).items():
        try:
            maps = decode(one.recording, one.with_nodes, **options)
        except ValueError:  # too few steps for a half of them
            continue
        maps = maps.at_pictures().of_picture(frame if maps.is_clip else 0)
        scale = ABSOLUTE if maps.softmaxed else ALL_TOGETHER
        yield name, [as_jpeg(tile) for tile in heatmaps(maps, small, scale=scale, opacity=1.0)]


def painted(one: Sampled) -> list[str]:
    """The picture, or a clip's first, middle and last frame."""
    last = len(one.pictures) - 1
    return [as_jpeg(picture) for picture in scaled(one.pictures[sorted({0, last // 2, last})], LARGE)]


def scaled(pictures: Tensor, longer: int) -> Tensor:
    """[B, H, W, 3], no larger than that."""
    factor = min(1.0, longer / max(pictures.shape[1:3]))
    size = [max(1, round(side * factor)) for side in pictures.shape[1:3]]
    return interpolate(pictures.movedim(-1, 1).float(), size=size, mode="area").movedim(1, -1).contiguous()


def as_jpeg(picture: Tensor) -> str:
    """Of [H, W, 3] in 0..1, as an address that holds it."""
    file = BytesIO()
    Image.fromarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()).save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
