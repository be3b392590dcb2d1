"""What the live map of a concept is to steer."""

from dataclasses import dataclass
from typing import ClassVar

from ..recording.recording import Recording
from .live import Shape, check_steerable

NOTHING_HEARD = "no step was recorded before"
NOT_FOUND = "it was not found there"


@dataclass(frozen=True, eq=False)
class Steering:
    """From a point of the schedule on, where a concept is being painted, and what to say where that is not known.

    by_last_step: whether the picture is made by the mask of the last step alone, so that one of earlier steps does not count.
    ValueError for a concept without live maps.
    """

    recording: Recording
    concept: str
    from_percent: float = 0.0
    shape: Shape = Shape()
    by_last_step: ClassVar[bool] = False

    def __post_init__(self):
        check_steerable(self.recording, self.concept)

    def if_lost(self, reason: str) -> str:
        """What is said where the maps are gone while the sampling goes on."""
        return f"nothing acts on {self.concept!r} from here on, since {reason}"

    def if_empty(self, pictures: str, reason: str) -> str:
        """What is said where the mask of some pictures stayed empty. reason: NOTHING_HEARD or NOT_FOUND."""
        return f"nothing acted on {self.concept!r} in picture {pictures}, since {reason}"

    def since(self, reason: str) -> str:
        """The reason with the concept's name in it."""
        return f"{self.concept!r} was not found there" if reason == NOT_FOUND else reason
