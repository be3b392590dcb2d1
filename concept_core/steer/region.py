"""A conditioning that acts only where a concept is being painted."""

from dataclasses import dataclass

from ..recording.recording import Recording
from .live import Shape, check_steerable


@dataclass(frozen=True, eq=False)
class Region:
    """Where and how much a conditioning acts: on the live map of a concept, from a point of the schedule on.

    strength: its weight in the concept's core, where ComfyUI's own for a conditioning is 1. ValueError for a concept without live maps.
    """

    recording: Recording
    concept: str
    from_percent: float = 0.0
    strength: float = 1.0
    shape: Shape = Shape()

    def __post_init__(self):
        check_steerable(self.recording, self.concept)
