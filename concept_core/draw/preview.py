"""Which concept is the strongest where, over the picture so far, while a model samples."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..maps.decode import shares_of
from ..maps.resize import upsample
from ..recording.recording import Recording, Run
from .heatmaps import EACH_ALONE, ends, scaled
from .palette import colours

OPACITY = 0.65  # where a concept has all of a spot


def strongest_so_far(base: Image.Image, recording: Recording, run: Run, masks: Sequence[Tensor] = ()) -> Image.Image:
    """`base`, a preview of the first picture or a clip's first frame, and over it what the latest step of the run says of it.

    masks: [h, w] in 0..1, those by which the step was steered, which are outlined.
    """
    *_, latest = run.steps.values()
    if len(recording.concepts.names) > 1:
        probabilities = shares_of(recording, latest, [0])[0]
    else:
        scores = latest[recording.spaces[0]][recording.default_blocks, 0].mean(0)[None, ..., None]
        probabilities = scaled(scores, *ends(scores, EACH_ALONE))[0, ..., 0]
    probabilities = probabilities.unflatten(1, run.grid)[:, 0]
    shown = recording.concepts.names[: recording.concepts.num_shown]
    return outlined(over(base, probabilities, shown, run.image_size, recording.pixels_per_token), masks)


def over(base: Image.Image, probabilities: Tensor, names: Sequence[str], image_size: tuple[int, int], pixels_per_token: int) -> Image.Image:
    """`base` and over it each spot's strongest concept in its colour, as strong as its share; the background list is left out.

    probabilities: [C, h, w] in 0..1; names: of those without the background list.
    """
    size = base.height, base.width
    smooth = upsample(probabilities[None], pixels_per_token, image_size, size)[0]
    highest, winner = smooth.max(0)
    alpha = (OPACITY * highest * (winner < len(names)))[..., None]
    picture = torch.from_numpy(np.array(base.convert("RGB"))) / 255
    drawn = torch.lerp(picture, colours(names)[winner.clamp(max=len(names) - 1)], alpha)
    return Image.fromarray((drawn * 255).round().byte().numpy())


def outlined(picture: Image.Image, masks: Sequence[Tensor]) -> Image.Image:
    """White along the inner edge of where each mask [h, w] is a half or more; the picture's own edge is none."""
    drawn = np.array(picture)
    for mask in masks:
        outside = torch.nn.functional.interpolate(mask[None, None], drawn.shape[:2], mode="bilinear") < 0.5
        near = torch.nn.functional.max_pool2d(outside.float(), 3, 1, 1) > 0
        drawn[(near & ~outside)[0, 0].numpy()] = 255
    return Image.fromarray(drawn)
