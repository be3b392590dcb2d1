"""Scores in half of their memory, as exact as shares need them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .scores import CROSS_SHARE

HALF_PRECISION_FROM = 16 << 20  # bytes of a sampling's scores in float32
LOWEST = torch.finfo(torch.float16).min
SMALLEST = 2.0**-14  # above 0 at float16's full precision


@dataclass(frozen=True)
class HalfPrecision:
    """Scores [blocks, B, C, N] in 16 bit: shares stay within 5e-4, as far as float32 tells scores apart, and raw scores within 5e-4 of
    their range.

    A softmax over concepts asks how far each lies below the highest of its token, and float16 is finest near 0: that is what
    `numbers` holds, 0 or less. In the highest one's own place it holds where that lies between `low` and `low + span`
    [blocks, B, 1, 1], the range of a block's highest ones: more than 0, up to 1.
    """

    numbers: Tensor
    low: Tensor
    span: Tensor

    @classmethod
    def of(cls, scores: Tensor) -> "HalfPrecision | None":
        """None for what float16 cannot hold so: concepts farther apart than 65504, NaN, infinity."""
        highest, place = scores.max(2, keepdim=True)
        low = highest.amin(3, keepdim=True)
        span = highest.amax(3, keepdim=True) - low
        numbers = scores - highest
        if not (numbers >= LOWEST).all():
            return None
        numbers.scatter_(2, place, ((highest - low) / span.clamp(min=1e-30)).clamp_(SMALLEST, 1))
        return cls(numbers.half(), low, span)

    def scores(self) -> Tensor:
        """[blocks, B, C, N] float32"""
        numbers = self.numbers.float()
        highest = self.low + self.span * numbers.amax(2, keepdim=True)
        return numbers.clamp_(max=0) + highest

    @property
    def nbytes(self) -> int:
        return self.numbers.nbytes + self.low.nbytes + self.span.nbytes


class HalfPrecisionStep(Mapping[str, Tensor]):
    """space → scores [blocks, B, C, N] float32 of one step, held packed where that is possible."""

    def __init__(self, step: Mapping[str, Tensor]):
        self.spaces = {space: _halved(space, scores) for space, scores in step.items()}

    def __getitem__(self, space: str) -> Tensor:
        scores = self.spaces[space]
        if not isinstance(scores, HalfPrecision):
            return scores
        return scores.scores().exp_() if space == CROSS_SHARE else scores.scores()

    def __iter__(self) -> Iterator[str]:
        return iter(self.spaces)

    def __len__(self) -> int:
        return len(self.spaces)

    @property
    def nbytes(self) -> int:
        return sum(packed.nbytes for packed in self.spaces.values())


def _halved(space, scores):
    """Shares by their logarithms, so that small ones are as exact as large ones."""
    packed = HalfPrecision.of(scores.clamp(min=1e-30).log() if space == CROSS_SHARE else scores)
    return scores if packed is None else packed
