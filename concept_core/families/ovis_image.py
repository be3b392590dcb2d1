"""Ovis-Image: ComfyUI's Flux class without a pooled prompt, with a norm before the text's projection and numbered text tokens."""

from torch import Tensor

from .double_stream import DoubleStream, DoubleStreamFamily
from .family import is_network


class OvisStream(DoubleStream):
    def text_in(self, embeddings: Tensor) -> Tensor:
        return self.network.txt_in(self.network.txt_norm(embeddings))


class OvisImage(DoubleStreamFamily):
    name = "Ovis-Image"
    key = "ovis-image"
    encoders = ("qwen3 of Ovis",)
    clip_hint = "For Ovis-Image load its text encoder with CLIPLoader, type ovis."
    clip_type = "ovis"
    stream = OvisStream

    @staticmethod
    def matches(model) -> bool:
        network = model.get_model_object("diffusion_model")
        return is_network(model, "comfy.ldm.flux.model", "Flux") and getattr(network, "txt_norm", None) is not None
