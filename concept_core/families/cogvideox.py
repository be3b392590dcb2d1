"""CogVideoX: text and video run through the same weights, each with a modulation of its own."""

import torch
from torch import Tensor
from torch.nn.functional import gelu

from ..recording.recipe import Recipe
from .family import Family, is_network
from .joint import Entered, other_tokens, split_heads
from .single_stream import SingleStream

PUBLISHED_BLOCKS = 30  # all of 2B, and those of 5B that the authors take


class CogVideoX(Family):
    name = "CogVideoX"
    key = "cogvideox"
    encoders = ("t5",)
    clip_hint = "For CogVideoX load T5-XXL with CLIPLoader, type cogvideox."
    clip_type = "cogvideox"
    recipe = Recipe()
    frames_per_latent = 4

    @staticmethod
    def matches(model) -> bool:
        return is_network(model, "comfy.ldm.cogvideo.model", "CogVideoXTransformer3DModel")

    @property
    def patch_frames(self) -> int:
        """2 in CogVideoX 1.5."""
        return self.network.patch_size_t or 1

    @property
    def embedding_width(self) -> int:
        return self.network.patch_embed.text_proj.in_features

    @property
    def width(self) -> int:
        return self.network.dim

    @property
    def depth(self) -> int:
        return len(self.network.blocks)

    @property
    def default_blocks(self) -> range:
        return range(min(self.depth, PUBLISHED_BLOCKS))

    def new_stream(self, network, forward, inputs: dict) -> "CogVideoXStream":
        return CogVideoXStream(network, forward, inputs)


class CogVideoXStream(SingleStream):
    """Concepts have no position, as the prompt's text has none."""

    def __init__(self, network, forward, inputs: dict):
        super().__init__(forward)
        self.network, self.inputs = network, inputs
        self.calls = 0

    def block_index(self, kwargs: dict) -> int:
        """Blocks do not tell which they are. Each calls its attention once, and nothing else does."""
        self.calls += 1
        return self.calls - 1

    def listen(self, index: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor, mask: Tensor | None):
        """q, k, v: [B, tokens, heads · d]"""
        q, k, v = (split_heads(x, self.network.num_attention_heads) for x in (q, k, v))
        super().listen(index, q, k, v, out, mask)

    def begin(self, dtype):
        projection = self.network.patch_embed.text_proj
        self.tokens = projection(self.forward.concepts(projection.weight.dtype)).to(dtype)
        self.time = self.forward.take(self.time_embedding(dtype))

    def time_embedding(self, dtype) -> Tensor:
        """[B, width] of the timestep and, in image to video of CogVideoX 1.5, of the offset."""
        from comfy.ldm.cogvideo.model import get_timestep_embedding  # which older ComfyUIs do not have

        network = self.network

        def embedded(numbers, width):
            return get_timestep_embedding(numbers, width, network.time_proj_flip, network.time_proj_shift).to(dtype)

        time = embedded(self.inputs["timestep"], network.time_proj_dim)
        made = network.time_embedding_linear_2(network.time_embedding_act(network.time_embedding_linear_1(time)))
        offset = self.inputs["ofs"]
        if network.ofs_embedding_linear_1 is None or offset is None:
            return made
        offset = network.ofs_embedding_linear_1(embedded(offset, network.ofs_proj_dim))
        return made + network.ofs_embedding_linear_2(network.ofs_embedding_act(offset))

    def first_image_token(self, tokens: int) -> int:
        text = self.inputs["context"].shape[1]
        if tokens != text + self.forward.image_tokens:
            raise other_tokens(tokens - text, self.forward.image_tokens)
        return text

    def enter(self, index: int) -> Entered:
        block = self.network.blocks[index]
        _, x, _, gate = block.norm1(self.tokens, self.tokens, self.time)
        q, k, v = (split_heads(linear(x), block.num_heads) for linear in (block.q, block.k, block.v))

        def leave(concept_out):
            tokens = torch.addcmul(self.tokens, gate, block.attn_out(concept_out))
            _, x, _, second_gate = block.norm2(tokens, tokens, self.time)
            self.tokens = torch.addcmul(tokens, second_gate, block.ff_out(gelu(block.ff_proj(x), approximate="tanh")))

        return Entered(block.norm_q(q), block.norm_k(k), v, leave)
