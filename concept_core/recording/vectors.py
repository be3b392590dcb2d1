"""The output vectors themselves, of chosen blocks and in 16 bit: for research."""

from dataclasses import dataclass

import psutil
import torch
from torch import Tensor

BYTES = 2  # of a number


@dataclass(frozen=True)
class Vectors:
    """Of one call of the model and K of its blocks, on the host, as they are before the output projection.

    concepts: [K, B, T, D], one for each concept token. image: [K, B, N, D].
    """

    sigma: float
    concepts: Tensor
    image: Tensor

    @property
    def nbytes(self) -> int:
        return self.concepts.nbytes + self.image.nbytes


def in_16_bit(x: Tensor) -> Tensor:
    """A copy of x on the host: as it is if it has 16 bits, else in float16. ValueError where that cannot hold its numbers."""
    copied = x.to("cpu", x.dtype if x.element_size() == BYTES else torch.float16, copy=True)
    if copied.dtype != x.dtype and not torch.isfinite(copied).all() and torch.isfinite(x).all():
        raise ValueError("keep_vectors: this model's vectors are too large for float16. Load it in bfloat16, or leave keep_vectors empty.")
    return copied


def free_on_host() -> int:
    """Bytes of RAM."""
    return psutil.virtual_memory().available
