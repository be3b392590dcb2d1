"""Which concepts a user means: "dragon", "dragon + rock", "dragon - rock", "dragon #2", "dragon, rock", "*" or "* - rock"."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..concepts.names import ALL, Term, joined, parse_concepts, pieces, term_of
from .maps import Maps


@dataclass(frozen=True)
class Selection:
    """One concept, or several joined, or less others. members, less: their places in the maps' names. things: for each member which of its
    things are meant, from 1 on, from left to right, or none for all; empty if all are meant of all members."""

    label: str
    members: tuple[int, ...]
    less: tuple[int, ...] = ()
    things: tuple[tuple[int, ...], ...] = ()

    def of(self, values: Tensor, softmaxed: bool) -> Tensor:
        """[B, C, ...] → [B, ...]: the sum of the members' shares, or their highest raw score; less that of the others, so it can be
        below 0."""
        chosen = _joined(values[:, self.members], softmaxed)
        return chosen - _joined(values[:, self.less], softmaxed) if self.less else chosen


def _joined(values, softmaxed):
    return values.sum(1) if softmaxed else values.amax(1)


def select(maps: Maps, text: str) -> list[Selection]:
    """A name is one concept, "a + b" joins two, "a - b" is where a is more than b, by how much. A comma or a line end parts two selections.
    "*" is all that are shown, each alone, and "* - a" all but a. "a #2" is the second of a's things from the left.

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
    selections: list[Selection] = []
    unknown: list[str] = []
    names = (*maps.names, ALL)
    for part in parse_concepts(text):
        terms = joined(part, names)
        label = part
        if terms is None:
            meant = [(piece.name, term_of(piece.name, names, less=piece.less)) for piece in pieces(part)]
            unknown += dict.fromkeys(name for name, known in meant if known is None)
            terms = [known for _, known in meant if known is not None]
            label = _written(terms)
        taken = [term for term in terms if term.less and term.thing]
        if taken:  # a thing has no map of its own that could be taken away
            unknown += dict.fromkeys(map(str, taken))
            terms = [term for term in terms if term not in taken]
            label = _written(terms)
        if terms[:1] == [Term(ALL)] and all(term.less for term in terms[1:]):
            left_out = [term.name for term in terms]
            selections += [Selection(name, (at,)) for at, name in enumerate(maps.names[: maps.num_shown]) if name not in left_out]
        elif any(term.name == ALL for term in terms):
            unknown.append(ALL)
        elif not all(term.less for term in terms):
            selections.append(_selection(label, maps.names, terms))
    return selections, unknown


def _written(terms):
    return "".join(f" {'-' if term.less else '+'} {term}" for term in terms).removeprefix(" + ")


def _selection(label, names, terms):
    members, less = (tuple(dict.fromkeys(names.index(term.name) for term in terms if term.less == taken)) for taken in (False, True))
    numbers = [[term.thing for term in terms if not term.less and names.index(term.name) == place] for place in members]
    things = tuple(() if 0 in those else tuple(dict.fromkeys(those)) for those in numbers)
    return Selection(label, members, less, things if any(things) else ())


def _there_are(names):
    return (
        f'There are: {", ".join(names)}. Write one of them, "a + b" to join two, "a - b" to take one away, "a #2" for the second a from '
        'the left, or "*" for all.'
    )


def gather(values: Tensor, selections: list[Selection], softmaxed: bool) -> Tensor:
    """[B, C, ...] → [B, S, ...], one map per selection; 0 where what is taken away is more."""
    return at_least_0(torch.stack([selection.of(values, softmaxed) for selection in selections], 1), selections, 1)


def at_least_0(values: Tensor, selections: list[Selection], dim: int = 0) -> Tensor:
    """Selections' values without those below 0, of such as take something away."""
    if not any(selection.less for selection in selections):
        return values
    rows = [one.clamp(min=0) if selection.less else one for one, selection in zip(values.unbind(dim), selections)]
    return torch.stack(rows, dim)
