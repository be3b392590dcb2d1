"""What is typed to choose blocks: "auto", "all", or numbers and ranges such as "3,5,7-9"."""

import re


def parse_blocks(text: str, depth: int, default: range, widget: str = "blocks") -> list[int]:
    """Sorted block numbers below `depth`. ValueError names the widget, quotes what is wrong and gives the range there is."""
    text = text.strip().lower()
    if text in ("auto", "all"):
        return list(default if text == "auto" else range(depth))
    blocks = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if match is None:
            raise ValueError(f'{widget}: cannot read "{part.strip()}" in "{text}". Write auto, all, or numbers and ranges such as 3,5,7-9.')
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or last >= depth:
            raise ValueError(f'{widget}: "{part.strip()}" is not within this model\'s blocks, 0-{depth - 1}.')
        blocks.update(range(first, last + 1))
    return sorted(blocks)
