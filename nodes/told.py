"""What a node has to say of its result: in the log, and in the node (web/told.js)."""

from ..concept_core.masks.masks import say


def shown(lines: list[str]) -> dict:
    """What the interface gets to show them in the node."""
    return {"concept_attention_told": lines}


class Told(list[str]):
    def __call__(self, text: str):
        say(text)
        self.append(text)

    def alone(self) -> dict:
        return shown(list(self))

    def beside(self, preview) -> dict:
        """What the interface gets: a preview, and what was told."""
        return preview.as_dict() | shown(list(self))
