"""Concept maps: one for each picture or frame and concept, at the model's own resolution."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

FLAT = 1e-6


@dataclass(frozen=True)
class Maps:
    """Concept maps at the model's own resolution.

    values: [B, C, h, w] float32, B pictures or the frames of one clip's latent; shares in 0..1 that sum to 1 over C where
    `softmaxed`, else raw scores of any range.
    names: C concepts, of which the first `num_shown` are to be shown; the rest are the background list.
    image_size: height and width of the picture in pixels. One token covers pixels_per_token² pixels of it, and the
    last row and column may reach beyond its edge. frames_per_latent: 0 for pictures; of a clip, how many of its frames each row of
    values but the first one stands for. ValueError if there is NaN or infinity in them.
    """

    values: Tensor
    names: tuple[str, ...]
    num_shown: int
    softmaxed: bool
    image_size: tuple[int, int]
    pixels_per_token: int
    frames_per_latent: int = 0

    def __post_init__(self):
        if not torch.isfinite(self.values).all():
            raise ValueError("The maps hold NaN or infinity: the model's numbers overflowed. Sample in bfloat16 or float32.")

    def check_softmax(self, why: str):
        """ValueError for raw scores."""
        if not self.softmaxed:
            raise ValueError(f"{why}: turn softmax on in Decode, and name two concepts or more, or a background, in Encode Concepts.")

    @property
    def is_clip(self) -> bool:
        return self.frames_per_latent > 0

    @property
    def num_pictures(self) -> int:
        """How many pictures, or frames of the clip, they belong to."""
        return self.frames_per_latent * (len(self.values) - 1) + 1 if self.is_clip else len(self.values)

    def at_pictures(self) -> "Maps":
        """One row of values for each picture or frame; those of a clip's latent lie in the middle of the frames that they stand for."""
        if self.frames_per_latent <= 1:
            return self
        return replace(self, values=between_frames(self.values, self.frames_per_latent), frames_per_latent=1)

    def of_picture(self, number: int) -> "Maps":
        """Those of a single picture or frame, [1, C, h, w], of maps that have one row for each."""
        return replace(self, values=self.values[number : number + 1], frames_per_latent=0)


def between_frames(values: Tensor, frames_per_latent: int) -> Tensor:
    """[t, ...] of a latent's frames → [frames_per_latent · (t − 1) + 1, ...] of the clip's, linear between them.

    The latent's first frame is the clip's, and each that follows stands for the next frames_per_latent.
    """
    last = len(values) - 1
    middles = [0, *(frames_per_latent * number - (frames_per_latent - 1) / 2 for number in range(1, last + 1))]
    place = torch.from_numpy(np.interp(range(frames_per_latent * last + 1), middles, range(last + 1)))
    before = place.long()
    part = (place - before).reshape(-1, *[1] * (values.ndim - 1))
    return torch.lerp(values[before], values[(before + 1).clamp(max=last)], part.to(values))


def is_flat(lowest: Tensor, highest: Tensor) -> Tensor:
    """Whether what differs between a map's ends is no more than rounding."""
    return highest - lowest <= FLAT * highest.abs().clamp(min=FLAT)
