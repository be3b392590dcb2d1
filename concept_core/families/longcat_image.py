"""LongCat-Image: ComfyUI's Flux class without a pooled prompt, with numbered text tokens."""

from .double_stream import DoubleStream, DoubleStreamFamily
from .family import is_network


class LongCatImage(DoubleStreamFamily):
    name = "LongCat-Image"
    key = "longcat-image"
    encoders = ("qwen2.5-vl of LongCat",)
    clip_hint = "For LongCat-Image load its text encoder with CLIPLoader, type longcat_image."
    clip_type = "longcat_image"
    stream = DoubleStream

    @staticmethod
    def matches(model) -> bool:
        # A ComfyUI that does not know LongCat takes it for another Flux, and numbers its picture otherwise.
        return is_network(model, "comfy.ldm.flux.model", "Flux") and type(model.model).__name__ == "LongCatImage"
