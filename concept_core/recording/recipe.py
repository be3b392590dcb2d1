"""How a family's authors make maps of its scores."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """mean_first: the mean over steps and blocks comes before the softmax, not after it. temperature: what scores are divided by;
    0 where it is taken from their spread, block by block.

    from_step: the share of the steps that is left out at the beginning. without_last: how many are left out at the end.
    """

    mean_first: bool = False
    temperature: float = 1.0
    from_step: float = 0.0
    without_last: int = 0

    def steps(self, steps: Sequence) -> Sequence:
        """Those that count, first step first; of few steps at least one."""
        stop = max(1, len(steps) - self.without_last)
        return steps[min(int(self.from_step * len(steps)), stop - 1) : stop]


# Measured on pictures that the demo models paint (docs/evaluation.md), and where the authors' recipe for Flux.2 begins.
LATE_STEPS = Recipe(from_step=0.7)
# Where nobody has published anything, and the scale of scores is not known either.
UNPUBLISHED = Recipe(from_step=0.7, temperature=0.0)
