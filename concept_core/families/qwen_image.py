"""Qwen-Image and Qwen-Image-Edit."""

import torch
from comfy.ldm.flux.math import apply_rope1
from torch import Tensor

from .double_stream import modulations, unrotated
from .family import Family, is_network
from .joint import Entered, JointStream


class QwenImage(Family):
    name = "Qwen-Image and Qwen-Image-Edit"
    key = "qwen-image"
    encoders = ("qwen2.5-vl",)
    clip_hint = "For Qwen-Image load Qwen2.5-VL with CLIPLoader, type qwen_image."
    clip_type = "qwen_image"

    @staticmethod
    def matches(model) -> bool:
        return is_network(model, "comfy.ldm.qwen_image.model", "QwenImageTransformer2DModel")

    @property
    def embedding_width(self) -> int:
        return self.network.txt_in.in_features

    @property
    def width(self) -> int:
        return self.network.inner_dim

    @property
    def depth(self) -> int:
        """All blocks but the last, whose text output goes nowhere: its text queries were never trained."""
        return len(self.network.transformer_blocks) - 1

    @property
    def later_blocks(self) -> list[tuple[str, int]]:
        return [("double_block", self.depth)]

    def new_stream(self, network, forward, inputs: dict) -> JointStream:
        # The text is numbered from where the larger side of the picture, which is numbered from its centre, ends.
        first_position = max(self.token_grid(inputs["x"])) // 2
        return QwenStream(network, forward, self.depth, first_position, self.tokens_of(inputs.get("ref_latents")))


class QwenStream(JointStream):
    """Through the text stream's own modules, modulated by time alone, as the prompt is."""

    def __init__(self, network, forward, depth: int, first_position: int, reference_tokens: int):
        super().__init__(forward, [("double_block", index) for index in range(depth)], reference_tokens)
        self.network, self.first_position = network, first_position

    def begin(self, dtype):
        self.tokens = self.network.txt_in(self.network.txt_norm(self.forward.concepts(dtype)))
        ids = (self.first_position + self.forward.on_device.positions)[None, :, None].expand(-1, -1, 3)
        self.rotation = self.network.pe_embedder(ids).to(dtype)

    def enter(self, index: int, args: dict) -> Entered:
        block = self.network.transformer_blocks[index]
        first, second = modulations(block.txt_mod(self.forward.take(args["vec"]))[:, None])
        x = torch.addcmul(first.shift, block.txt_norm1(self.tokens), first.factor)
        attn = block.attn
        q, k, v = (self.by_head(projection(x)) for projection in (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj))
        q, k = attn.norm_added_q(q), attn.norm_added_k(k)

        def leave(concept_out):
            x = torch.addcmul(self.tokens, first.gate, attn.to_add_out(concept_out))
            mlp = block.txt_mlp(torch.addcmul(second.shift, block.txt_norm2(x), second.factor))
            self.tokens = torch.addcmul(x, second.gate, mlp)

        return Entered(q, k, v, leave, (apply_rope1(q, self.rotation), apply_rope1(k, self.rotation)))

    def by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.network.transformer_blocks[0].attn.heads, -1)).transpose(1, 2)

    def image_queries(self, q: Tensor, args: dict) -> Tensor:
        """Turned back."""
        return unrotated(q, self.forward.take(args["pe"])[:, :, self.image_span(args)[0] :][:, :, : q.shape[2]])
