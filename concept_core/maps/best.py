"""Which pictures of a batch show all that was asked for."""

from dataclasses import dataclass

from .maps import Maps
from .presence import presence
from .selection import select

MIN_PRESENCE = 0.25  # on pictures that the demo models paint, present concepts stay above it and absent ones below 0.03


@dataclass(frozen=True)
class Scores:
    """Of each picture the presence of the concept that it has least of: that, and which one it is, in 0..1."""

    lowest: list[float]
    weakest: list[str]

    def best(self, min_presence: float, max_count: int = 0) -> list[int]:
        """The pictures, from 0 on, in which all concepts have at least that presence, best first; at most max_count unless 0."""
        return [number for number in self.in_order() if self.lowest[number] >= min_presence][: max_count or None]

    def in_order(self) -> list[int]:
        return sorted(range(len(self.lowest)), key=lambda number: -self.lowest[number])

    def closest(self) -> str:
        """The best one in words: "picture 2, where heart has a presence of 0.04"."""
        number = self.in_order()[0]
        return f"picture {number + 1}, where {self.weakest[number]} has a presence of {self.lowest[number]:.2f}"


def scores(maps: Maps, concepts: str) -> Scores:
    """concepts: as selection.select reads them. ValueError for a clip, an unknown concept, the number of a thing, raw scores."""
    if maps.is_clip:
        raise ValueError("These maps are of a clip, not of a batch of pictures: there is nothing to choose from.")
    selections = select(maps, concepts)
    numbered = [selection.label for selection in selections if selection.things]
    if numbered:
        raise ValueError(f'"{numbered[0]}": presence is of a concept, not of one thing. Leave out the number.')
    rows = [list(zip(row, (selection.label for selection in selections))) for row in presence(maps, selections).tolist()]
    lowest = [min(row) for row in rows]
    return Scores([score for score, _ in lowest], [label for _, label in lowest])
