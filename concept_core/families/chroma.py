"""Chroma and Chroma Radiance: Flux's double blocks, modulated by a network of their own, which knows of time alone."""

from .double_stream import DoubleStreamFamily, GivenModulationStream
from .family import is_network


class Chroma(DoubleStreamFamily):
    name = "Chroma"
    key = "chroma"
    encoders = ("t5",)
    clip_hint = "For Chroma load T5-XXL with CLIPLoader, type chroma."
    clip_type = "chroma"
    stream = GivenModulationStream

    @staticmethod
    def matches(model) -> bool:
        classes = {"comfy.ldm.chroma.model": "Chroma", "comfy.ldm.chroma_radiance.model": "ChromaRadiance"}
        return any(is_network(model, module, name) for module, name in classes.items())

    @property
    def position_axes(self) -> tuple[int, ...]:
        """Later versions of Radiance number the text's tokens."""
        return (0,) if getattr(self.network.params, "use_sequential_txt_ids", False) else ()
