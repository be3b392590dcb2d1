"""Several things to be repainted, each with a prompt of its own."""

import re

from ..maps.maps import Maps
from ..maps.selection import select
from .masks import masks

EXAMPLE = 'Write a line for each, such as "circle: a yellow star".'


def parse_repaints(text: str) -> list[tuple[str, str]]:
    """[(concept, prompt)] of "circle: a yellow star; square: a green heart". ValueError quotes the line that cannot be read."""
    found = []
    for line in filter(None, map(str.strip, re.split(r"[;\n]", text))):
        concept, colon, prompt = (part.strip() for part in line.partition(":"))
        if not (concept and colon and prompt):
            raise ValueError(f'things: "{line}" is not a concept, a colon and a prompt. {EXAMPLE}')
        found.append((concept, prompt))
    if not found:
        raise ValueError(f"things: nothing is named. {EXAMPLE}")
    return found


def present_ones(maps: Maps, repaints: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same. ValueError for a clip, where one names several masks, or where one is found in none of the pictures."""
    if maps.is_clip:
        raise ValueError("These maps are of a clip. Repaint Several Things is for pictures: see docs/video.md for clips.")
    for concept, _ in repaints:
        selections = select(maps, concept)
        if len(selections) > 1:
            raise ValueError(f'things: "{concept}" is several masks. Write a line for each, or join them with a plus.')
        if not masks(maps, concept, tell=lambda text: None).any():
            raise ValueError(f'things: "{concept}" is not found in the picture, so there is no place to repaint. Leave it out.')
    return repaints
