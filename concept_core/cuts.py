"""From a map at picture size to a mask: which values are in, and how much."""

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 256
LEAST_SEPARATION = 3.6  # of two modes; a flat histogram cut in two has the root of 12, 3.46, a bell 2.7
LEAST_GAP = 0.1  # in shares: classes closer than this are one


@dataclass(frozen=True)
class Levels:
    """The two classes that Otsu's threshold makes of a map.

    low, high: their means. separation: the distance of the means over the classes' spread (Ashman's D).
    """

    threshold: float
    low: float
    high: float
    separation: float


def two_levels(values: Tensor) -> Levels | None:
    """Otsu's threshold: the variance between the classes is highest (Otsu, 1979). None where all values are the same."""
    if is_constant(values):
        return None
    values = values.flatten().double()
    lowest, highest = values.min(), values.max()
    count = torch.histc(values, BINS, lowest.item(), highest.item())
    edges = torch.linspace(lowest, highest, BINS + 1, dtype=torch.float64)
    total = count * (edges[:-1] + edges[1:]) / 2
    below, above = count.cumsum(0)[:-1], count.flip(0).cumsum(0).flip(0)[1:]
    mean_below, mean_above = total.cumsum(0)[:-1] / below, total.flip(0).cumsum(0).flip(0)[1:] / above
    threshold = edges[1 + (below * above * (mean_below - mean_above) ** 2).argmax()]
    background, core = values[values < threshold], values[values >= threshold]
    spread = ((background.var(correction=0) + core.var(correction=0)) / 2).sqrt()
    gap = core.mean() - background.mean()
    return Levels(threshold.item(), background.mean().item(), core.mean().item(), (gap / spread.clamp(min=1e-12)).item())


def is_constant(values: Tensor) -> bool:
    """Whether what differs is no more than rounding."""
    lowest, highest = values.aminmax()
    return bool(highest - lowest <= 1e-6 * highest.abs().clamp(min=1e-6))


def soft(values: Tensor, shares: bool) -> Tensor | None:
    """0 far from the concept, 1 in its core: a ramp over the middle half of the way between the means of Otsu's two classes.

    Shares of one level are all in from a half on, and out below. None if nothing is in.
    """
    levels = two_levels(values)
    if shares and (levels is None or levels.high - levels.low < LEAST_GAP):
        return torch.ones_like(values) if values.mean() >= 0.5 else None
    if not shares and not _two_modes(levels):
        return None
    way = (values - levels.low) / (levels.high - levels.low)
    return (2 * way - 0.5).clamp(0, 1)


def otsu(values: Tensor, shares: bool) -> Tensor | None:
    """1 from Otsu's threshold on. None if the map has one mode only."""
    levels = two_levels(values)
    if not _two_modes(levels) or (shares and levels.high - levels.low < LEAST_GAP):
        return None
    return (values >= levels.threshold).float()


def above_mean(values: Tensor, shares: bool) -> Tensor | None:
    """1 above the map's mean, as the paper cuts single concepts. None if all is the same."""
    if is_constant(values):
        return None
    return (values > values.mean()).float()


def _two_modes(levels: Levels | None):
    return levels is not None and levels.separation >= LEAST_SEPARATION
