"""What is typed to choose blocks: "auto", "all", or numbers and ranges such as "3,5,7-9"."""

import re

WORDS = ("auto", "all")


def parse_blocks(text: str, depth: int, default: range, widget: str = "blocks") -> list[int]:
    """Sorted block numbers below `depth`. ValueError names the widget, quotes what is wrong and gives the range there is."""
    text = text.strip().lower()
    if text in WORDS:
        return list(default if text == "auto" else range(depth))
    blocks: set[int] = set()
    for part, first, last in ranges(text, widget):
        if first > last or last >= depth:
            raise ValueError(f'{widget}: "{part}" is not within this model\'s blocks, 0-{depth - 1}.')
        blocks.update(range(first, last + 1))
    return sorted(blocks)


def check_blocks(text: str, widget: str = "blocks"):
    """ValueError if it would not do for any model."""
    text = text.strip().lower()
    for part, first, last in [] if text in WORDS else ranges(text, widget):
        if first > last:
            raise ValueError(f'{widget}: "{part}" ends before it starts.')


def ranges(text: str, widget: str) -> list[tuple[str, int, int]]:
    """(as it is written, first, last) of each part."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None:
            raise ValueError(f'{widget}: cannot read "{part.strip()}" in "{text}". Write auto, all, or numbers and ranges such as 3,5,7-9.')
        found.append((part.strip(), int(match[1]), int(match[2] or match[1])))
    return found
