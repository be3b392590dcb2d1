"""Which concept is the strongest where, over the picture so far, while a model samples."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..maps.decode import spread
from ..maps.resize import upsample
from ..recording.recording import Recording, Run
from ..recording.scores import CROSS_SHARE, PROMPT_WORDS
from .heatmaps import EACH_ALONE, ends, scaled
from .palette import colours

OPACITY = 0.65  # where a concept has all of a spot


def strongest_so_far(base: Image.Image, recording: Recording, run: Run) -> Image.Image:
    """`base`, a preview of the first picture or a clip's first frame, and over it what the latest step of the run says of it."""
    *_, latest = run.steps.values()
    several = len(recording.concepts.names) > 1
    space = recording.spaces[0]
    per_head = several and space == "cross-attention"
    scores = latest[CROSS_SHARE if per_head else space][recording.default_blocks, 0]
    if several and space == PROMPT_WORDS:
        scores = scores.mean(0, keepdim=True)
        scores = scores / scores.sum(1, keepdim=True).clamp(min=1e-30)
    elif several and not per_head:
        scores = (scores / (recording.recipe.temperature or spread(scores))).softmax(1)
    probabilities = scores.mean(0).unflatten(1, run.grid)[:, 0]
    if not several:
        probabilities = scaled(probabilities[None], *ends(probabilities[None], EACH_ALONE))[0]
    shown = recording.concepts.names[: recording.concepts.num_shown]
    return over(base, probabilities, shown, run.image_size, recording.pixels_per_token)


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
