"""Stable Diffusion 1.5, 2 and XL: ComfyUI's U-Net."""

from collections.abc import Callable
from functools import partial

from comfy import supported_models
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample
from torch import Tensor

from ..recording.recipe import Recipe
from .cross_attention import ConceptScores, PromptWordSums
from .family import Family, is_network
from .joint import OVERRIDE, called, other_tokens, split_heads

Block = tuple[str, int]  # as ComfyUI names it: ("input", 4)


class UNet(Family):
    """A block is what ComfyUI calls one: all layers of one SpatialTransformer. The middle one is left out, as DAAM does: it is coarse."""

    spaces = ("cross-attention",)
    recipe = Recipe()  # all steps, as DAAM
    sums_prompt_words = True
    config: type  # ComfyUI's, of the family's models

    @classmethod
    def matches(cls, model) -> bool:
        is_unet = is_network(model, "comfy.ldm.modules.diffusionmodules.openaimodel", "UNetModel")
        return is_unet and isinstance(model.model.model_config, cls.config)

    @property
    def patch(self) -> int:
        """Of the finest layer."""
        first = next(index for kind, index in transformers_of(self.network) if kind == "input")
        return 2 ** sum(isinstance(layer, Downsample) for block in self.network.input_blocks[:first] for layer in block)

    @property
    def embedding_width(self) -> int:
        return next(iter(transformers_of(self.network).values())).transformer_blocks[0].attn2.to_k.in_features

    @property
    def depth(self) -> int:
        return len(transformers_of(self.network))

    @property
    def default_blocks(self) -> range:
        return range(self.depth)

    def new_stream(self, network, forward, inputs: dict) -> "UNetListener":
        if not forward.recording.concepts.of_prompt:
            return UNetListener(network, forward, partial(ConceptScores, forward, self.token_grid(inputs["x"])[1:]))
        return UNetListener(network, forward, partial(PromptWordSums, forward))


class SD15(UNet):
    name = "Stable Diffusion 1.5"
    key = "sd15"
    encoders = ("clip-l",)
    clip_hint = "For Stable Diffusion 1.5 take the CLIP of its checkpoint."
    clip_type = "stable_diffusion"
    config = supported_models.SD15


class SD2(UNet):
    name = "Stable Diffusion 2"
    key = "sd2"
    encoders = ("clip-h",)
    clip_hint = "For Stable Diffusion 2 take the CLIP of its checkpoint."
    clip_type = "stable_diffusion"
    config = supported_models.SD20


class SDXL(UNet):
    name = "SDXL"
    key = "sdxl"
    encoders = ("clip-l and clip-g",)
    clip_hint = "For SDXL take the CLIP of its checkpoint."
    clip_type = "sdxl"
    config = supported_models.SDXL


def transformers_of(network) -> dict[Block, SpatialTransformer]:
    """In the order in which they run, without the middle one."""
    blocks = [(("input", index), block) for index, block in enumerate(network.input_blocks)]
    blocks += [(("output", index), block) for index, block in enumerate(network.output_blocks)]
    return {name: layer for name, block in blocks for layer in block if isinstance(layer, SpatialTransformer)}


class UNetListener:
    """Listens to the cross-attention of one forward pass.

    ComfyUI calls an `attn2_patch` right before a layer's cross-attention, and hands the queries to the attention override or, where
    another node has replaced the layer's attention, to that node. new_block: makes what takes up a block's layers.
    """

    def __init__(self, network, forward, new_block: Callable):
        self.forward, self.new_block = forward, new_block
        self.transformers = transformers_of(network)
        self.next_layer: dict | None = None
        self.block = new_block()

    def hook(self, transformer_options: dict, left_out=()) -> dict:
        """A copy of the options in which every layer reports to the forward pass. Nothing can be left out."""
        patches, replaced = transformer_options.get("patches", {}), transformer_options.get("patches_replace", {})
        attn2 = {place: partial(self.replacement, other) for place, other in replaced.get("attn2", {}).items()}
        return {
            **transformer_options,
            "patches": {**patches, "attn2_patch": [*patches.get("attn2_patch", []), self.announce]},
            "patches_replace": {**replaced, "attn2": attn2},
            OVERRIDE: partial(self.attention, transformer_options.get(OVERRIDE)),
        }

    def announce(self, n, context, value, layer: dict):
        """An attn2_patch: what is called next is this layer's cross-attention."""
        self.next_layer = layer
        return n, context, value

    def attention(self, overridden, function, q, k, v, heads, *args, **kwargs):
        """An attention override, given the one that was there."""
        layer, self.next_layer = self.next_layer, None
        out = called(overridden, function, q, k, v, heads, *args, **kwargs)
        if layer is not None:
            self.listen(q, k, layer)
        return out

    def replacement(self, other: Callable, q, k, v, layer: dict):
        """An attn2_replace, given the one that was there."""
        self.next_layer = None
        out = other(q, k, v, layer)
        self.listen(q, k, layer)
        return out

    def listen(self, q: Tensor, k: Tensor, layer: dict):
        """q: [B, N, heads · d], k: [B, tokens, heads · d]. layer: what ComfyUI tells its patches."""
        transformer = self.transformers.get(layer["block"])
        if transformer is None or self.forward.is_over:
            return
        with self.forward.spare_the_picture():
            size = tuple(layer["activations_shape"][-2:])
            if q.shape[1] != size[0] * size[1]:
                raise other_tokens(q.shape[1], size[0] * size[1])
            attention = transformer.transformer_blocks[layer["block_index"]].attn2

            def concept_keys():
                return split_heads(attention.to_k(self.forward.concepts(q.dtype)[:1]), attention.heads)

            def kept_keys():
                return self.forward.once_a_sampling((layer["block"], layer["block_index"]), concept_keys)

            self.block.add(split_heads(q, attention.heads), split_heads(k, attention.heads), kept_keys, size)
            if layer["block_index"] == len(transformer.transformer_blocks) - 1:
                self.block.close()
                self.block = self.new_block()
