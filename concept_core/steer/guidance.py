"""CFG that is scaled where a concept is being painted."""

from dataclasses import dataclass

from .steering import Steering


@dataclass(frozen=True, eq=False)
class Guidance(Steering):
    """scale: of CFG in the concept's core, where 1 leaves it as it is."""

    scale: float = 1.0

    def if_lost(self, reason: str) -> str:
        return f"CFG is the same all over the picture from here on, since {reason}"

    def if_empty(self, pictures: str, reason: str) -> str:
        return f"CFG was the same all over picture {pictures}, since {self.since(reason)}"
