"""A conditioning that acts only where a concept is being painted."""

from dataclasses import dataclass

from .steering import Steering


@dataclass(frozen=True, eq=False)
class Region(Steering):
    """Where and how much a conditioning acts.

    strength: its weight in the concept's core, where ComfyUI's own for a conditioning is 1.
    """

    strength: float = 1.0
