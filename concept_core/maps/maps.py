"""Concept maps: one for each picture and concept, at the model's own resolution."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Maps:
    """Concept maps at the model's own resolution.

    values: [B, C, h, w] float32; shares in 0..1 that sum to 1 over C where `shares`, else raw scores of any range.
    names: C concepts, of which the first `shown` are to be shown; the rest are the background list.
    image_size: height and width of the picture in pixels. One token covers pixels_per_token² pixels of it, and the
    last row and column may reach beyond its edge.
    """

    values: Tensor
    names: tuple[str, ...]
    shown: int
    shares: bool
    image_size: tuple[int, int]
    pixels_per_token: int

    def checked(self) -> "Maps":
        """These maps; ValueError if there is NaN or infinity in them."""
        if not torch.isfinite(self.values).all():
            raise ValueError("The maps hold NaN or infinity: the model's numbers overflowed. Sample in bfloat16 or float32.")
        return self

    def of_picture(self, number: int) -> "Maps":
        """Those of a single picture, [1, C, h, w]."""
        return replace(self, values=self.values[number : number + 1])
