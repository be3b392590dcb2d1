"""Which concepts a user means: "dragon", "dragon + rock", "dragon, rock" or "*"."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..concepts.names import ALL, JOIN, joined, parse_concepts
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

    Names of the background list can be chosen too. ValueError lists the names if one is not there, or if none is given.
    """
    if text.strip() == ALL:
        return [Selection(name, (place,)) for place, name in enumerate(maps.names[: maps.num_shown])]
    selections = [Selection(part, _members(part, maps.names)) for part in parse_concepts(text)]
    if not selections:
        raise ValueError(f"No concept is named. {_there_are(maps.names)}")
    return selections


def _members(text: str, names: tuple[str, ...]) -> tuple[int, ...]:
    chosen = joined(text, names)
    if chosen is None:
        missing = next(name.strip() for name in text.split(JOIN) if name.strip() not in names)
        raise ValueError(f"There is no map of {missing!r}. {_there_are(names)}")
    return tuple(dict.fromkeys(names.index(name) for name in chosen))


def _there_are(names):
    return f'There are: {", ".join(names)}. Write one of them, "a + b" to join two, or "*" for all.'


def gather(values: Tensor, selections: list[Selection], softmaxed: bool) -> Tensor:
    """[B, C, ...] → [B, S, ...], one map per selection."""
    return torch.stack([selection.of(values, softmaxed) for selection in selections], 1)
