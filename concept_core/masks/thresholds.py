"""From a map at picture size to a mask: which values are in, and how much.

The methods find their threshold `among` other values than those that they cut where a clip's frames are to share it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..maps.maps import is_flat

BINS = 256
COUNTED_AT_ONCE = 2**22  # a float32 count stops at 2**24
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
    lowest, highest = (end.item() for end in values.aminmax())
    count = sum(torch.histc(part, BINS, lowest, highest).double() for part in values.float().flatten().split(COUNTED_AT_ONCE))
    edges = torch.linspace(lowest, highest, BINS + 1, dtype=torch.float64)
    centres = (edges[:-1] + edges[1:]) / 2
    sums = torch.stack([count, count * centres, count * centres**2]).cumsum(1)
    below, above = sums[:, :-1], sums[:, -1:] - sums[:, :-1]
    between = below[0] * above[0] * (below[1] / below[0] - above[1] / above[0]) ** 2
    cut = between.argmax()
    (low, low_variance), (high, high_variance) = _moments(below[:, cut]), _moments(above[:, cut])
    within_bins = (edges[1] - edges[0]) ** 2 / 12
    spread = ((low_variance + high_variance) / 2 + within_bins).sqrt()
    return Levels(edges[cut + 1].item(), low.item(), high.item(), ((high - low) / spread).item())


def _moments(sums):
    """Mean and variance from the number, the sum and the sum of squares."""
    number, total, squares = sums
    mean = total / number
    return mean, (squares / number - mean**2).clamp(min=0)


def is_constant(values: Tensor) -> bool:
    return bool(is_flat(*values.aminmax()))


def soft(values: Tensor, softmaxed: bool, among: Tensor | None = None) -> Tensor | None:
    """0 far from the concept, 1 in its core: a ramp over the middle half of the way between the means of Otsu's two classes.

    Shares of one mode: the ramp goes from a quarter to three quarters instead. None if nothing reaches a half of them, or if raw
    scores have one mode.
    """
    among = values if among is None else among
    levels = _two_modes(among, softmaxed)
    if levels:
        low, high = levels.low, levels.high
    elif softmaxed and among.max() >= 0.5:
        low, high = 0.0, 1.0
    else:
        return None
    slope = 2 / (high - low)
    return (values * slope).sub_(low * slope + 0.5).clamp_(0, 1)


def otsu(values: Tensor, softmaxed: bool, among: Tensor | None = None) -> Tensor | None:
    """1 from Otsu's threshold on. None if the map has one mode only."""
    levels = _two_modes(values if among is None else among, softmaxed)
    return (values >= levels.threshold).float() if levels else None


def above_mean(values: Tensor, softmaxed: bool, among: Tensor | None = None) -> Tensor | None:
    """1 above the map's mean, as the paper cuts single concepts. None if all is the same."""
    among = values if among is None else among
    return None if is_constant(among) else (values > among.mean()).float()


def _two_modes(values: Tensor, softmaxed: bool) -> Levels | None:
    """None if there is only one."""
    levels = two_levels(values)
    if levels is None or levels.separation < LEAST_SEPARATION or (softmaxed and levels.high - levels.low < LEAST_GAP):
        return None
    return levels
