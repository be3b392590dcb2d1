"""Concepts' names as a user types them: several in one field, and several joined."""

import re
from collections.abc import Sequence
from typing import NamedTuple

ALL = "*"
TAKE = "-"
SIGN = re.compile(r"\+|(?<=\s)-(?=\s)")
NUMBERED = re.compile(r"(.*\S)\s*#\s*([1-9]\d*)", re.DOTALL)


class Term(NamedTuple):
    """Of "a #2 + b - c" one name, whether it is taken away, and which of its things is meant: 2 is the second from the left, 0 all."""

    name: str
    less: bool = False
    thing: int = 0

    def __str__(self):
        return f"{self.name} #{self.thing}" if self.thing else self.name


def parse_concepts(text: str) -> list[str]:
    """Split at commas and line ends; a name that is there twice counts once."""
    return list(dict.fromkeys(name.strip() for line in text.splitlines() for name in line.split(",") if name.strip()))


def named(text: str, names) -> str | None:
    """The name that a text means: itself, else the only one that differs in nothing but case."""
    if text in names:
        return text
    alike = [name for name in names if name.casefold() == text.casefold()]
    return alike[0] if len(alike) == 1 else None


def itself(text: str, names) -> str | None:
    return text if text in names else None


def joined(text: str, names, named=named) -> list[Term] | None:
    """What "a + b - c" consists of, or None if it does not consist of names. A name that holds a sign goes before what it could join.

    A minus has a space on either side, since names hold hyphens.
    """
    return _terms(text, names, named, False)


def term_of(text: str, names, named=named, less: bool = False) -> Term | None:
    """A name, or "a #2"; None if it is neither. A name that holds a number goes first."""
    whole = named(text, names)
    if whole is not None:
        return Term(whole, less)
    numbered = NUMBERED.fullmatch(text)
    name = named(numbered[1], names) if numbered else None
    return Term(name, less, int(numbered[2])) if numbered and name is not None else None


def _terms(text, names, named, less):
    text = text.strip()
    whole = term_of(text, names, named, less)
    if whole is not None:
        return [whole]
    for sign in reversed(list(SIGN.finditer(text))):
        first = term_of(text[: sign.start()].strip(), names, named, less)
        rest = _terms(text[sign.end() :], names, named, sign[0] == TAKE) if first is not None else None
        if first is not None and rest:
            return [first, *rest]
    return None


def pieces(text: str) -> list[Term]:
    """What stands between the signs of "a + b - c", whether names hold them or not."""
    signs = ["", *(sign[0] for sign in SIGN.finditer(text))]
    return [Term(piece.strip(), sign == TAKE) for sign, piece in zip(signs, SIGN.split(text))]


def check_names(shown: list[str], hidden: Sequence[str] = ()):
    """ValueError if no concept is to be shown, or for a name that could not be told from a choice of concepts."""
    if not shown:
        raise ValueError("No concepts: name at least one, separated by commas or lines (for example: dragon, rock, sky).")
    for name in (*shown, *hidden):
        if name == ALL:
            raise ValueError(f'A concept cannot be called "{ALL}", which stands for all concepts: write it in words.')
        if len(joined(name, {*shown, *hidden} - {name}, itself) or ()) > 1:
            raise ValueError(f'"{name}" joins concepts that are named too: leave it out here, and write it in Concept Mask.')
