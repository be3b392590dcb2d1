"""What is typed to choose blocks: "auto", "all", or numbers and ranges such as "3,5,7-9,s0-s9", where s is for single blocks."""

import re

WORDS = ("auto", "all")
NO_SINGLE_BLOCKS = "no single blocks were recorded. Flux 1 and Flux.2 have them: switch single_blocks on in Apply or Encode Image"


def parse_blocks(text: str, depth: int, default: range, widget: str = "blocks", single_blocks: int = 0) -> list[int]:
    """Sorted block numbers below `depth`, of which the last single_blocks are single ones. "all" are all others.

    ValueError names the widget, quotes what is wrong and gives the range there is.
    """
    text = text.strip().lower()
    double = depth - single_blocks
    if text in WORDS:
        return list(default if text == "auto" else range(double))
    blocks: set[int] = set()
    for part, single, first, last in ranges(text, widget):
        if single and not single_blocks:
            raise ValueError(f'{widget}: "{part}" is of single blocks, and {NO_SINGLE_BLOCKS}.')
        before, count = (double, single_blocks) if single else (0, double)
        if first > last or last >= count:
            raise ValueError(f'{widget}: "{part}" is not within this model\'s blocks, {_all_of(double, single_blocks)}.')
        blocks.update(range(before + first, before + last + 1))
    return sorted(blocks)


def check_blocks(text: str, widget: str = "blocks"):
    """ValueError if it would not do for any model."""
    text = text.strip().lower()
    for part, _, first, last in [] if text in WORDS else ranges(text, widget):
        if first > last:
            raise ValueError(f'{widget}: "{part}" ends before it starts.')


def ranges(text: str, widget: str) -> list[tuple[str, bool, int, int]]:
    """(as it is written, whether of single blocks, first, last) of each part."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(s?)(\d+)\s*(?:-\s*\1?(\d+)\s*)?", part)
        if match is None:
            raise ValueError(f'{widget}: cannot read "{part.strip()}" in "{text}". Write auto, all, or numbers and ranges such as 3,5,7-9.')
        found.append((part.strip(), bool(match[1]), int(match[2]), int(match[3] or match[2])))
    return found


def _all_of(double: int, single_blocks: int) -> str:
    return f"0-{double - 1}" + (f" and s0-s{single_blocks - 1}" if single_blocks else "")
