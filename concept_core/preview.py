"""While a model samples: which concept is the strongest where, over the picture so far."""

import numpy as np
import torch
from comfy.utils import ProgressBar
from latent_preview import Latent2RGBPreviewer
from PIL import Image
from torch import Tensor

from .heatmaps import scaled
from .recording import Recording, Run
from .resize import upsample
from .segmentation import colours

OPACITY = 0.65  # where a concept has all of a spot
LARGEST = 512  # side in pixels


class Preview:
    """Shows each step's scores in the node that samples, over ComfyUI's cheapest preview; nothing for a model that has none."""

    def __init__(self, recording: Recording, patcher, steps: int):
        self.recording = recording
        self.progress, self.heard = ProgressBar(steps), 0
        form = patcher.model.latent_format
        self.previewer = form.latent_rgb_factors and Latent2RGBPreviewer(form.latent_rgb_factors, form.latent_rgb_factors_bias)

    def show(self, run: Run, denoised: Tensor, step: int):
        """denoised: [B, channels, h, w], of which the first is shown."""
        if run.given_up or run.heard == self.heard or self.previewer is None:
            return
        self.heard = run.heard
        run.land(wait=True)
        *_, latest = run.steps.values()
        scores = latest["output"][self.recording.default_blocks, 0]
        several = scores.shape[1] > 1
        shares = (scores.softmax(1) if several else scores).mean(0).unflatten(1, run.grid)
        if not several:
            shares = scaled(shares[None], "each concept alone", False)[0]
        base = self.previewer.decode_latent_to_preview(denoised[:1])
        drawn = over(base, shares, self.recording.concepts.shown, run.image_size, self.recording.pixels_per_token)
        self.progress.update_absolute(step + 1, preview=("JPEG", drawn, LARGEST))


def over(base: Image.Image, shares: Tensor, shown: int, image_size: tuple[int, int], pixels_per_token: int) -> Image.Image:
    """`base` and over it each spot's strongest concept in its colour, as strong as its share; the background list is left out.

    shares: [C, h, w] in 0..1.
    """
    size = base.height, base.width
    smooth = upsample(shares[None], pixels_per_token, image_size, size)[0]
    share, winner = smooth.max(0)
    alpha = (OPACITY * share * (winner < shown))[..., None]
    picture = torch.from_numpy(np.array(base.convert("RGB"))) / 255
    drawn = torch.lerp(picture, colours(len(shares))[winner], alpha)
    return Image.fromarray((drawn * 255).round().byte().numpy())
