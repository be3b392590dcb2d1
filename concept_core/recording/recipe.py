"""How a family's authors make maps of its scores."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """mean_first: the mean over steps and blocks comes before the softmax, not after it. temperature: what scores are divided by."""

    mean_first: bool = False
    temperature: float = 1.0
