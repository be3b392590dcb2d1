"""Krea 2: ComfyUI's SingleStreamDiT, with grouped queries and gated attention."""

import torch
from comfy.ldm.flux.layers import timestep_embedding
from torch import Tensor

from .double_stream import unrotated
from .family import Family, is_network
from .joint import Entered, other_tokens, split_heads
from .single_stream import SingleStream, repeated


class Krea2(Family):
    name = "Krea 2"
    key = "krea2"
    encoders = ("qwen3-vl of Krea 2",)
    clip_hint = "For Krea 2 load Qwen3-VL-4B with CLIPLoader, type krea2."
    clip_type = "krea2"

    @staticmethod
    def matches(model) -> bool:
        return is_network(model, "comfy.ldm.krea2.model", "SingleStreamDiT")

    @property
    def patch(self) -> int:
        return self.network.patch

    @property
    def embedding_width(self) -> int:
        return self.network.txtlayers * self.network.txtdim

    @property
    def width(self) -> int:
        return self.network.first.out_features

    @property
    def depth(self) -> int:
        return len(self.network.blocks)

    def new_stream(self, network, forward, inputs: dict) -> SingleStream:
        method = inputs.get("ref_latents_method", network.default_ref_method)
        references = self.tokens_of(inputs.get("ref_latents")) if method is not None else 0
        return Krea2Stream(network, forward, inputs, references)


class Krea2Stream(SingleStream):
    """Through the text's fusion alone, then through every block, modulated by time. Text is at position 0.

    A block's sequence is text, then the picture, then reference pictures.
    """

    def __init__(self, network, forward, inputs: dict, reference_tokens: int):
        super().__init__(forward)
        self.network, self.inputs, self.reference_tokens = network, inputs, reference_tokens

    def begin(self, dtype):
        network, timestep = self.network, self.forward.take(self.inputs["timesteps"])
        self.time = network.tproj(network.tmlp(timestep_embedding(timestep, network.tdim)[:, None].to(dtype)))
        tokens = self.forward.once_a_sampling("tokens", lambda: self.text_tokens(dtype))
        self.tokens = tokens.expand(len(timestep), -1, -1)

    def text_tokens(self, dtype) -> Tensor:
        """[1, T, width]"""
        network = self.network

        def refine(texts):
            return network.txtmlp(network.txtfusion(texts.unflatten(2, (network.txtlayers, -1)), transformer_options={}))

        return self.refined(refine, [text[None].to(dtype) for text in self.forward.on_device.sequences])

    def first_image_token(self, tokens: int) -> int:
        text, known = self.inputs["context"].shape[1], self.forward.image_tokens + self.reference_tokens
        if tokens != text + known:
            raise other_tokens(tokens - text, known)
        return text

    def enter(self, index: int) -> Entered:
        block = self.network.blocks[index]
        attn = block.attn
        scale, shift, gate, mlp_scale, mlp_shift, mlp_gate = block.mod(self.time)
        normed = torch.addcmul(shift, block.prenorm(self.tokens), 1 + scale)
        projected = (attn.wq, attn.heads), (attn.wk, attn.kvheads), (attn.wv, attn.kvheads)
        q, k, v = (split_heads(project(normed), heads) for project, heads in projected)
        q, k = attn.qknorm(q, k)

        def leave(concept_out):
            x = torch.addcmul(self.tokens, gate, attn.wo(concept_out * attn.gate(normed).sigmoid()))
            self.tokens = torch.addcmul(x, mlp_gate, block.mlp(torch.addcmul(mlp_shift, block.postnorm(x), 1 + mlp_scale)))

        return Entered(q, repeated(k, attn.heads), repeated(v, attn.heads), leave)

    def image_queries(self, q: Tensor, args: dict) -> Tensor:
        """Turned back."""
        x = self.inputs["x"]
        _, ids, _, _ = self.network.process_img(x.reshape(-1, x.shape[1], *x.shape[-2:])[:1])
        return unrotated(q, self.network.pe_embedder(ids))
