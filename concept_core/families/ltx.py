"""LTX-Video: text is keys and values of cross-attention alone."""

from torch import Tensor

from .cross_attention import BlockListener
from .family import Family, is_network


class LTXVideo(Family):
    name = "LTX-Video"
    key = "ltx"
    encoders = ("t5",)
    clip_hint = "For LTX-Video load T5-XXL with CLIPLoader, type ltxv."
    clip_type = "ltxv"
    spaces = ("cross-attention",)
    frames_per_latent = 8

    @staticmethod
    def matches(model) -> bool:
        """Not those whose prompt is modulated by the time, of which all make sound too."""
        is_ltx = is_network(model, "comfy.ldm.lightricks.model", "LTXVModel")
        return is_ltx and not getattr(model.get_model_object("diffusion_model"), "cross_attention_adaln", False)

    @property
    def patch(self) -> int:
        return 1

    @property
    def embedding_width(self) -> int:
        return self.network.caption_channels

    @property
    def depth(self) -> int:
        return len(self.network.transformer_blocks)

    def new_stream(self, network, forward, inputs: dict) -> "LTXListener":
        return LTXListener(network, forward, self.token_grid(inputs["x"]))


class LTXListener(BlockListener):
    def __init__(self, network, forward, grid: tuple[int, ...]):
        super().__init__(forward, len(network.transformer_blocks), grid)
        self.network = network

    def heads(self, index: int) -> int:
        return self.network.transformer_blocks[index].attn2.heads

    def context(self, concepts: Tensor) -> Tensor:
        return self.network.caption_projection(concepts)

    def keys(self, index: int, context: Tensor) -> Tensor:
        attention = self.network.transformer_blocks[index].attn2
        return attention.k_norm(attention.to_k(context))
