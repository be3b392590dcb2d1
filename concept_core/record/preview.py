"""While a model samples: shows each step's maps in the node that samples."""

from collections.abc import Callable, Sequence

from comfy.utils import ProgressBar
from latent_preview import Latent2RGBPreviewer
from PIL import Image
from torch import Tensor

from ..recording.recording import Recording, Run
from .receiver import Receiver

LARGEST = 512  # side in pixels
# of a step's picture one in which the maps are to be seen too, and the masks that steered it
Draw = Callable[[Image.Image, Recording, Run, Sequence[Tensor]], Image.Image]


class Preview:
    """Over ComfyUI's cheapest preview; nothing for a model that has none."""

    def __init__(self, recording: Recording, patcher, steps: int, draw: Draw):
        self.recording, self.draw = recording, draw
        self.progress, self.heard = ProgressBar(steps), 0
        form = patcher.model.latent_format
        factors = form.latent_rgb_factors, form.latent_rgb_factors_bias, form.latent_rgb_factors_reshape
        self.previewer = form.latent_rgb_factors and Latent2RGBPreviewer(*factors)

    def show(self, receiver: Receiver, denoised: Tensor, step: int, masks: Sequence[Tensor]):
        """denoised: [B, channels, h, w], of which the first is shown. masks: [h, w] on the host, by which it was steered."""
        if receiver.run.abort_reason or receiver.heard == self.heard or self.previewer is None:
            return
        self.heard = receiver.heard
        receiver.land(wait=True)
        drawn = self.draw(self.previewer.decode_latent_to_preview(denoised[:1]), self.recording, receiver.run, masks)
        self.progress.update_absolute(step + 1, preview=("JPEG", drawn, LARGEST))
