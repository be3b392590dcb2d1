"""A part of the source's latent that is kept."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .steering import NOT_FOUND, Steering

KEEPS = ("everything but the concept", "the concept")


@dataclass(frozen=True, eq=False)
class Lock(Steering):
    """Which part: one of KEEPS. Where the maps are lost, or nothing was recorded, all is kept."""

    keep: str = KEEPS[0]
    by_last_step: ClassVar[bool] = True

    def painted(self, mask: Tensor) -> Tensor:
        """Where the model may paint, 1, and where the source is kept, 0, from the concept's mask."""
        return mask if self.keep == KEEPS[0] else 1 - mask

    def if_lost(self, reason: str) -> str:
        return f"all of the picture is kept from here on, since {reason}"

    def if_empty(self, pictures: str, reason: str) -> str:
        nothing = reason == NOT_FOUND and self.keep == KEEPS[1]
        return f"{'nothing' if nothing else 'all'} of picture {pictures} is kept, since {self.since(reason)}"


def kept_exactly(samples: Tensor, source: Tensor, painted: Tensor) -> Tensor:
    """The source's own numbers where nothing was to be painted: samplers come near to them only."""
    return torch.where(painted == 0, source, samples)
