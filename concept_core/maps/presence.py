"""How sure the maps are that a concept is in the picture at all."""

from torch import Tensor

from .maps import Maps
from .selection import Selection, gather, select

PATCH = 2  # tokens
ABSENT = 0.1  # on pictures that the demo models paint, absent concepts stay below 0.03 where the rest is named, present ones above 0.25


def presence(maps: Maps, selections: list[Selection]) -> Tensor:
    """[B, S] in 0..1: the highest mean share over a patch of 2 x 2 tokens.

    Absolute: nothing is stretched, so an absent concept stays near 0 wherever another one fits better. It is relative to
    the concepts named: where none fits, the least unfit wins. ValueError for raw scores, which have no absolute scale.
    """
    maps.check_softmax("Raw scores have no presence")
    probabilities = gather(maps.values.float(), selections, True)
    return highest_patch(probabilities)


def highest_patch(shares: Tensor) -> Tensor:
    """[..., h, w] → [...]: the highest mean over a patch of 2 x 2 tokens."""
    height, width = (min(PATCH, side) for side in shares.shape[-2:])
    return shares.unfold(-2, height, 1).unfold(-2, width, 1).mean((-2, -1)).amax((-2, -1)).clamp(0, 1)


def labelled(maps: Maps) -> list[str]:
    """For each picture and concept shown its name and, of shares, its presence: "dragon 0.97"."""
    if not maps.softmaxed:
        return list(maps.names[: maps.num_shown]) * len(maps.values)
    selections = select(maps, "*")
    return [f"{it.label} {score:.2f}" for scores in presence(maps, selections).tolist() for it, score in zip(selections, scores)]
