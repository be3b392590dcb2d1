"""Keeps a part of the source's latent while a model samples.

As ComfyUI's sampler does it with a noise mask: the model is shown the source with the step's own noise where that is kept, and there its
answer is the source. It is done within that noise mask, if there is one, so that the two are multiplied, whatever a denoise mask function
makes of the other; and it needs none, so that models which read the mask itself, such as Flux Fill, read what their graph gave them. The
source is noised by the model's own schedule even where a model would rather see it clean (Cosmos-Predict2), since no mask tells it so.
"""

from dataclasses import dataclass

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..steer.live import check_picture
from ..steer.lock import Lock, kept_exactly
from .live import Live
from .sampler import Recorder
from .steered_model import recorder_of

KEY = "concept_attention_lock"
NODE = "Concept Lock"


def with_lock(model, lock: Lock):
    """A clone of a MODEL that keeps a part of what it samples from. ValueError unless the lock's recording is that model's."""
    recorder = recorder_of(model, lock.recording, NODE)
    model = model.clone()
    if lock.from_percent < 1:
        locking = Locking(lock, recorder)
        model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, locking.sampler_sample)
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, locking.predict_noise)
    return model


@dataclass
class Kept:
    """What one sampling keeps of its source.

    source, noise: [B, channels, h, w] as the model has them. painted: [B, 1, h, w] where the latest step painted, None before any did
    with a lock.
    """

    live: Live
    source: Tensor
    noise: Tensor
    painted: Tensor | None = None


class Locking:
    """Belongs to one patched model, and knows the sampling that goes on."""

    def __init__(self, lock: Lock, recorder: Recorder):
        self.lock, self.recorder = lock, recorder
        self.kept: Kept | None = None

    def sampler_sample(self, executor, guider, sigmas, extra_args, callback, noise, latent_image=None, *args, **kwargs):
        """SAMPLER_SAMPLE wrapper: here latent and noise are as the model has them."""
        enclosing, to_the_end = self.kept, bool(sigmas[-1] == 0)  # uni_pc writes into it
        self.kept = self.opened(guider.inner_model, noise, latent_image)
        try:
            samples = executor(guider, sigmas, extra_args, callback, noise, latent_image, *args, **kwargs)
            if to_the_end and self.kept.painted is not None:
                samples = kept_exactly(samples, self.kept.source, self.kept.painted)
        finally:
            self.kept = enclosing
        return samples

    def opened(self, model, noise: Tensor, source: Tensor) -> Kept:
        live = self.recorder.live
        check_picture(live.receiver.run)
        latent_image, drawn = live.beginning()
        if latent_image is not live.latent_image:
            source, noise = model.process_latent_in(latent_image.to(source)), drawn.to(noise)
        if not source.any():
            raise ValueError(
                f"{NODE} keeps a part of the latent that the sampler starts from, and that one is empty: give the sampler the latent of "
                "a picture, by VAE Encode. With denoise at 1 it still begins with noise alone, as edit models want it."
            )
        if not noise.any():
            raise ValueError(
                f"{NODE} does not know the source: this sampler adds no noise, and none before it has left a latent with noise for it "
                "that this recording heard of. Use the model that came out of the Apply node for both, or let this one add noise."
            )
        return Kept(live, source, noise)

    def predict_noise(self, executor, x, timestep, *args, **kwargs):
        """PREDICT_NOISE wrapper: what the model is shown, and what it answers."""
        kept, model = self.kept, executor.class_obj.inner_model
        if kept is None or not kept.live.acts(self.lock, timestep):
            return executor(x, timestep, *args, **kwargs)
        painted = self.painted(kept.live, x)
        if painted is None:
            kept.painted = torch.zeros_like(x[:, :1])
            return executor(x, timestep, *args, **kwargs)
        kept.painted = painted
        noised = model.model_sampling.noise_scaling(timestep.reshape(-1, *[1] * (x.ndim - 1)), kept.noise, kept.source)
        out = executor(x * painted + noised * (1 - painted), timestep, *args, **kwargs)
        return out * painted + kept.source * (1 - painted)

    def painted(self, live: Live, x: Tensor) -> Tensor | None:
        """[B, 1, h, w]; None where nothing was heard yet."""
        mask = live.mask(self.lock, x)
        if mask is not None:
            return self.lock.painted(mask[:, None])
        return torch.zeros_like(x[:, :1]) if self.lock in live.lost else None
