"""Which concept is the strongest where, over the picture so far, while a model samples."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..maps.decode import spread
from ..maps.resize import upsample
from ..recording.recording import Recording, Run
from ..recording.scores import CROSS_SHARE, PROMPT_WORDS
from .heatmaps import EACH_ALONE, scaled
from .segmentation import colours

OPACITY = 0.65  # where a concept has all of a spot


def strongest_so_far(base: Image.Image, recording: Recording, run: Run) -> Image.Image:
    """`base`, a preview of the first picture, and over it what the latest step of the run says of it."""
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
    probabilities = scores.mean(0).unflatten(1, run.grid)
    if not several:
        probabilities = scaled(probabilities[None], EACH_ALONE)[0]
    return over(base, probabilities, recording.concepts.num_shown, run.image_size, recording.pixels_per_token)


def over(base: Image.Image, probabilities: Tensor, num_shown: int, image_size: tuple[int, int], pixels_per_token: int) -> Image.Image:
    """`base` and over it each spot's strongest concept in its colour, as strong as its share; the background list is left out.

    probabilities: [C, h, w] in 0..1.
    """
    size = base.height, base.width
    smooth = upsample(probabilities[None], pixels_per_token, image_size, size)[0]
    highest, winner = smooth.max(0)
    alpha = (OPACITY * highest * (winner < num_shown))[..., None]
    picture = torch.from_numpy(np.array(base.convert("RGB"))) / 255
    drawn = torch.lerp(picture, colours(len(probabilities))[winner], alpha)
    return Image.fromarray((drawn * 255).round().byte().numpy())
