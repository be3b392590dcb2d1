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
        if not is_network(model, "comfy.ldm.flux.model", "Flux"):
            return False
        network = model.get_model_object("diffusion_model")
        params = network.params
        numbered = bool(params.txt_ids_dims) and not params.global_modulation
        return numbered and params.vec_in_dim is None and getattr(network, "txt_norm", None) is None
