"""Which concepts a user means: "dragon", "dragon + rock", "dragon, rock" or "*"."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..concepts.names import ALL, JOIN, joined, named, parse_concepts
from .maps import Maps


@dataclass(frozen=True)
class Selection:
    """One concept, or several joined. members: their places in the maps' names."""

    label: str
    members: tuple[int, ...]

    def of(self, values: Tensor, softmaxed: bool) -> Tensor:
        """[B, C, ...] → [B, ...]: the sum of the members' shares, or their highest raw score."""
        chosen = values[:, self.members]
        return chosen.sum(1) if softmaxed else chosen.amax(1)


def select(maps: Maps, text: str) -> list[Selection]:
    """A name is one concept, "a + b" joins two, a comma or a line end parts two selections, "*" is all that are shown, each alone.

    Names of the background list can be chosen too; case matters only where it tells two of them apart. ValueError lists the names if one
    is not there, or if none is given.
    """
    selections, unknown = select_known(maps, text)
    if unknown:
        raise ValueError(f"There is no map of {unknown[0]!r}. {_there_are(maps.names)}")
    if not selections:
        raise ValueError(f"No concept is named. {_there_are(maps.names)}")
    return selections


def select_known(maps: Maps, text: str) -> tuple[list[Selection], list[str]]:
    """What select selects, without the names that are not there; and those."""
    if text.strip() == ALL:
        return [Selection(name, (place,)) for place, name in enumerate(maps.names[: maps.num_shown])], []
    selections, unknown = [], []
    for part in parse_concepts(text):
        chosen = joined(part, maps.names)
        label = part
        if chosen is None:
            names = {name: named(name, maps.names) for name in (piece.strip() for piece in part.split(JOIN))}
            unknown += [name for name, meant in names.items() if meant is None]
            chosen = [meant for meant in names.values() if meant is not None]
            label = f" {JOIN} ".join(chosen)
        if chosen:
            selections.append(Selection(label, tuple(dict.fromkeys(maps.names.index(name) for name in chosen))))
    return selections, unknown


def _there_are(names):
    return f'There are: {", ".join(names)}. Write one of them, "a + b" to join two, or "*" for all.'


def gather(values: Tensor, selections: list[Selection], softmaxed: bool) -> Tensor:
    """[B, C, ...] → [B, S, ...], one map per selection."""
    return torch.stack([selection.of(values, softmaxed) for selection in selections], 1)
