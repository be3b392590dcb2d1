"""Concepts' names as a user types them: several in one field, and several joined."""

from collections.abc import Sequence

ALL = "*"
JOIN = "+"


def parse_concepts(text: str) -> list[str]:
    """Split at commas and line ends; a name that is there twice counts once."""
    return list(dict.fromkeys(name.strip() for line in text.splitlines() for name in line.split(",") if name.strip()))


def joined(text: str, names) -> list[str] | None:
    """The names that "a + b" joins, or None if it does not consist of names. A name that holds a plus goes before what it could join."""
    text = text.strip()
    if text in names:
        return [text]
    for place in (place for place in range(len(text) - 1, 0, -1) if text[place] == JOIN):
        first = text[:place].strip()
        rest = joined(text[place + 1 :], names) if first in names else None
        if rest:
            return [first, *rest]
    return None


def check_names(shown: list[str], hidden: Sequence[str] = ()):
    """ValueError if no concept is to be shown, or for a name that could not be told from a choice of concepts."""
    if not shown:
        raise ValueError("No concepts: name at least one, separated by commas or lines (for example: dragon, rock, sky).")
    for name in (*shown, *hidden):
        if name == ALL:
            raise ValueError(f'A concept cannot be called "{ALL}", which stands for all concepts: write it in words.')
        if joined(name, {*shown, *hidden} - {name}):
            raise ValueError(f'"{name}" joins two concepts that are named too: leave it out here, and write it in Concept Mask.')
