"""Cosmos-Predict2 and Anima: ComfyUI's MiniTrainDIT, whose text is keys and values of cross-attention alone."""

from functools import partial

import torch
from torch import Tensor

from ..recording.recipe import Recipe
from .cross_attention import ConceptScores
from .family import Family, is_network
from .joint import OVERRIDE, called, other_tokens
from .prompt_words import mask_of, record_words


class CosmosPredict2(Family):
    name = "Cosmos-Predict2"
    key = "cosmos"
    encoders = ("t5",)
    clip_hint = "For Cosmos-Predict2 load the old T5-XXL with CLIPLoader, type cosmos."
    clip_type = "cosmos"
    spaces = ("cross-attention",)
    recipe = Recipe()

    @staticmethod
    def matches(model) -> bool:
        return is_network(model, "comfy.ldm.cosmos.predict2", "MiniTrainDIT")

    @property
    def patch(self) -> int:
        return self.network.patch_spatial

    @property
    def embedding_width(self) -> int:
        return self.network.blocks[0].cross_attn.k_proj.in_features

    @property
    def depth(self) -> int:
        return len(self.network.blocks)

    def new_stream(self, network, forward, inputs: dict) -> "CosmosListener":
        return CosmosListener(network, forward, self.token_grid(inputs["x"]))


class Anima(CosmosPredict2):
    """Its adapter makes the context: T5's numbers of the prompt's tokens ask, and Qwen3's reading of the prompt answers."""

    name = "Anima"
    key = "anima"
    encoders = ("qwen3 of Anima",)
    clip_hint = "For Anima load Qwen3-0.6B with CLIPLoader, type stable_diffusion."
    clip_type = "stable_diffusion"

    @staticmethod
    def matches(model) -> bool:
        return is_network(model, "comfy.ldm.anima.model", "Anima")

    def prompt_given(self, inputs: dict, forward) -> Tensor:
        """Without the zeros that follow it."""
        return inputs["context"][:, : len(forward.on_device.embeddings)]

    def prompt_read(self, network, forward, dtype) -> Tensor:
        concepts = forward.on_device
        (text,), (ids,), (weights,) = concepts.sequences, concepts.refiner_ids, concepts.refiner_weights
        return network.preprocess_text_embeds(text[None].to(dtype), ids[None], weights[None, :, None].to(dtype))[0, : len(ids)]

    def new_stream(self, network, forward, inputs: dict) -> "CosmosListener":
        return AnimaListener(network, forward, self.token_grid(inputs["x"]))


class CosmosListener:
    """Listens to the cross-attention of one forward pass. In every block it follows the self-attention; its queries are not rotated."""

    def __init__(self, network, forward, grid: tuple[int, ...]):
        self.network, self.forward, self.grid = network, forward, grid
        self.calls = 0
        self.attended: int | None = None  # the block whose self-attention was called last

    def hook(self, transformer_options: dict, left_out=()) -> dict:
        """A copy of the options in which every block reports to the forward pass. Nothing can be left out."""
        options = {name: value for name, value in transformer_options.items() if name != "block_index"}
        return {**options, OVERRIDE: partial(self.attention, options.get(OVERRIDE))}

    def attention(self, overridden, function, q, k, v, *args, **kwargs):
        """An attention override, given the one that was there. q: [B, heads, N, d]"""
        out = called(overridden, function, q, k, v, *args, **kwargs)
        index = kwargs.get("transformer_options", {}).get("block_index", self.calls // 2)  # which older versions do not tell
        self.calls += 1
        if self.forward.is_over:
            return out
        if self.attended != index:
            self.attended = index
        elif index == len(self.forward.blocks):
            with self.forward.spare_the_picture():
                self.listen(index, q, k, mask_of(*args, **kwargs))
        return out

    def listen(self, index: int, q: Tensor, k: Tensor, mask: Tensor | None):
        if q.shape[2] != self.forward.image_tokens:
            raise other_tokens(q.shape[2], self.forward.image_tokens)
        if self.forward.recording.concepts.of_prompt:
            record_words(self.forward, (0, k.shape[2]), 0, q, k, mask)
            return
        attention, once = self.network.blocks[index].cross_attn, self.forward.once_a_sampling

        def concept_keys():
            tokens = once("context", lambda: self.context(q.dtype))
            return attention.k_norm(attention.k_proj(tokens).unflatten(2, (attention.n_heads, -1))).transpose(1, 2)

        block = ConceptScores(self.forward, self.grid)
        block.add(q, k, lambda: once(index, concept_keys), self.grid)
        block.close()

    def context(self, dtype) -> Tensor:
        """[1, T, width] of the concepts, as the prompt's is."""
        return self.forward.concepts(dtype)[:1]


class AnimaListener(CosmosListener):
    def context(self, dtype) -> Tensor:
        """Each concept alone goes through the adapter, and its own tokens are cut out."""
        concepts = self.forward.on_device
        texts = zip(concepts.sequences, concepts.refiner_ids, concepts.spans)
        refined = (
            self.network.preprocess_text_embeds(text[None].to(dtype), ids[None])[:, start:stop] for text, ids, (start, stop) in texts
        )
        return torch.cat(list(refined), 1)
