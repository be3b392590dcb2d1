"""Concept maps: one for each picture and concept, at the model's own resolution."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

FLAT = 1e-6


@dataclass(frozen=True)
class Maps:
    """Concept maps at the model's own resolution.

    values: [B, C, h, w] float32; shares in 0..1 that sum to 1 over C where `softmaxed`, else raw scores of any range.
    names: C concepts, of which the first `num_shown` are to be shown; the rest are the background list.
    image_size: height and width of the picture in pixels. One token covers pixels_per_token² pixels of it, and the
    last row and column may reach beyond its edge. ValueError if there is NaN or infinity in them.
    """

    values: Tensor
    names: tuple[str, ...]
    num_shown: int
    softmaxed: bool
    image_size: tuple[int, int]
    pixels_per_token: int

    def __post_init__(self):
        if not torch.isfinite(self.values).all():
            raise ValueError("The maps hold NaN or infinity: the model's numbers overflowed. Sample in bfloat16 or float32.")

    def check_softmax(self, why: str):
        """ValueError for raw scores."""
        if not self.softmaxed:
            raise ValueError(f"{why}: turn softmax on in Decode, and name two concepts or more, or a background, in Encode Concepts.")

    def of_picture(self, number: int) -> "Maps":
        """Those of a single picture, [1, C, h, w]."""
        return replace(self, values=self.values[number : number + 1])


def is_flat(lowest: Tensor, highest: Tensor) -> Tensor:
    """Whether what differs between a map's ends is no more than rounding."""
    return highest - lowest <= FLAT * highest.abs().clamp(min=FLAT)
