"""A colour for each concept: it follows from the name."""

import hashlib
from collections.abc import Iterable

from torch import Tensor

from .colormaps import from_hex

# Colours that are easy to tell apart and to name, by S. Trubetskoy: those with a strong hue, then the pale and the dark.
STRONG = "e6194b 3cb44b ffe119 4363d8 f58231 911eb4 46f0f0 f032e6 bcf60c 008080 9a6324".split()
PALETTE = STRONG + "fabebe e6beff aaffc3 ffd8b1 fffac8 800000 808000 000075 808080".split()


def colours_of(names: Iterable[str]) -> list[str]:
    """A colour such as "e6194b" for each name, no two alike until all are taken.

    A name has the same colour in any list, but where one before it has that already: then it has the next that is free.
    """
    taken: list[str] = []
    for name in names:
        plain = " ".join(name.casefold().split())
        first = int.from_bytes(hashlib.sha256(plain.encode()).digest()[:4], "big") % len(STRONG)
        taken.append(min([*STRONG[first:], *STRONG[:first], *PALETTE[len(STRONG) :]], key=taken.count))
    return taken


def colours(names: Iterable[str]) -> Tensor:
    """Those [n, 3] in 0..1."""
    return from_hex(colours_of(names))
