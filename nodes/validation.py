"""What can be said of a node's widgets when a graph is queued, before anything runs. A widget that is linked is None then."""

from collections.abc import Callable

from ..concept_core.concepts.names import check_names, parse_concepts
from ..concept_core.masks.several import parse_repaints
from ..concept_core.recording.blocks import check_blocks
from ..concept_core.recording.window import check_window


def passes(*checks: Callable[[], None]) -> bool | str:
    """For a node's validate_inputs: True, or the first thing that is wrong."""
    try:
        for check in checks:
            check()
    except ValueError as error:
        return str(error)
    return True


def window(start_percent: float | None, end_percent: float | None):
    for name, percent in (("start_percent", start_percent), ("end_percent", end_percent)):
        if percent is not None and not 0 <= percent <= 1:
            raise ValueError(f"{name} must lie in 0..1, it is {percent:g}.")
    if start_percent is not None and end_percent is not None:
        check_window(start_percent, end_percent)


def blocks(text: str | None):
    if text is not None:
        check_blocks(text)


def keep_vectors(text: str | None):
    if text and text.strip():
        check_blocks(text, "keep_vectors")


def concepts(text: str | None):
    if text is not None:
        check_names(parse_concepts(text))


def repaints(text: str | None):
    if text is not None:
        parse_repaints(text)


def chosen(text: str | None):
    """Nothing may come from another node, such as the Explorer, but nobody types it."""
    if text is not None and not text.strip():
        raise ValueError("No concept is named: write the name of one, several with commas between them, or * for all.")
