"""Z-Image and Lumina 2: ComfyUI's NextDiT."""

import torch
from comfy.ldm.flux.math import apply_rope1
from torch import Tensor

from .double_stream import unrotated
from .family import Family, is_network
from .joint import Entered, clamped, other_tokens
from .single_stream import SingleStream, repeated


class NextDiT(Family):
    @property
    def embedding_width(self) -> int:
        return self.network.cap_embedder[1].in_features

    @property
    def width(self) -> int:
        return self.network.dim

    @property
    def depth(self) -> int:
        return len(self.network.layers)

    def new_stream(self, network, forward, inputs: dict) -> SingleStream:
        return NextDiTStream(network, forward, inputs)


class ZImage(NextDiT):
    name = "Z-Image (Turbo, base, Omni)"
    key = "z-image"
    encoders = ("qwen3 of Z-Image",)
    clip_hint = "For Z-Image load Qwen3-4B with CLIPLoader, type lumina2."
    clip_type = "lumina2"

    @staticmethod
    def matches(model) -> bool:
        return is_next_dit(model) and model.get_model_object("diffusion_model").pad_tokens_multiple is not None


class Lumina2(NextDiT):
    name = "Lumina 2"
    key = "lumina2"
    encoders = ("gemma2",)
    clip_hint = "For Lumina 2 load Gemma 2 2B with CLIPLoader, type lumina2."
    clip_type = "lumina2"

    @staticmethod
    def matches(model) -> bool:
        return is_next_dit(model) and model.get_model_object("diffusion_model").pad_tokens_multiple is None


def is_next_dit(model) -> bool:
    """NewBie, which is modulated by its pooled prompt too, is none."""
    network = model.get_model_object("diffusion_model")
    return is_network(model, "comfy.ldm.lumina.model", "NextDiT") and getattr(network, "clip_text_pooled_proj", None) is None


class NextDiTStream(SingleStream):
    """Through the context refiner alone, then through every block, modulated by time.

    A block's sequence is text, then reference pictures, then the picture; each is padded to a multiple in Z-Image.
    """

    def __init__(self, network, forward, inputs: dict):
        super().__init__(forward)
        self.network, self.inputs = network, inputs

    def begin(self, dtype):
        network, timestep = self.network, self.forward.take(self.inputs["timesteps"])
        self.time = network.t_embedder((1.0 - timestep) * network.time_scale, dtype=dtype)
        tokens = self.forward.once_a_sampling("tokens", lambda: self.text_tokens(dtype))
        self.tokens = tokens.expand(len(self.time), -1, -1)
        positions = 1.0 + self.offset() + self.forward.on_device.positions
        ids = positions.new_zeros(1, len(positions), 3, dtype=torch.float32)
        ids[:, :, 0] = positions
        self.rotation = network.rope_embedder(ids)

    def text_tokens(self, dtype) -> Tensor:
        """[1, T, width]"""
        network = self.network
        embedded = [network.embed_cap(sequence[None].to(dtype), device=sequence.device) for sequence in self.forward.on_device.sequences]
        rotations = {embeds.shape[1]: rotation for (embeds,), (rotation,), _ in embedded}

        def refine(texts):
            for layer in network.context_refiner:
                texts = layer(texts, None, rotations[texts.shape[1]].to(texts.device), transformer_options={})
            return texts

        return self.refined(refine, [embeds for (embeds,), _, _ in embedded])

    def offset(self) -> int:
        """Where the prompt's own text begins to count, behind the reference pictures and their texts."""
        offset = 0
        references, texts, seen = self.references()
        for place, reference in enumerate(references):
            given = [others[place] if place < len(others) else None for others in (texts, seen)]
            offset = self.network.embed_all(reference, *given, offset=offset, omni=True)[2]
        return offset

    def first_image_token(self, tokens: int) -> int:
        picture, before = self.padded(self.forward.image_tokens), self.tokens_before_the_picture()
        if tokens != before + picture:
            raise other_tokens(tokens, before + picture)
        return before

    def prompt_span(self, first: int) -> tuple[int, int]:
        """Behind the texts of references, and before those that belong to none."""
        start = sum(map(self.padded, self.reference_texts()[: len(self.references()[0])]))
        return start, start + self.padded(self.inputs["context"].shape[1])

    def reference_texts(self) -> list[int]:
        """How many tokens each has."""
        references, texts, _ = self.references()
        return [text.shape[1] for text in texts] + [1] * (len(references) - len(texts)) if references else []

    def tokens_before_the_picture(self) -> int:
        """Of texts, of what SigLIP sees in references and the picture, and of references. Where one is missing padding stands for it."""
        references, _, seen = self.references()
        pieces = [self.inputs["context"].shape[1], *self.reference_texts()]
        if references:
            pieces += [reference.shape[-2] * reference.shape[-1] // self.network.patch_size**2 for reference in references]
        if references and self.network.siglip_embedder is not None:
            seen = seen[: len(references)]
            pieces += [features.shape[1] * features.shape[2] for features in seen] + [1] * (len(references) + 1 - len(seen))
        return sum(map(self.padded, pieces))

    def references(self) -> tuple[list, list, list]:
        """Latents, and the texts and features of some of them."""
        latents, texts, seen = (list(self.inputs.get(name) or []) for name in ("ref_latents", "ref_contexts", "siglip_feats"))
        return latents, texts, seen

    def padded(self, tokens: int) -> int:
        multiple = self.network.pad_tokens_multiple or 1
        return -(-tokens // multiple) * multiple

    def enter(self, index: int) -> Entered:
        block = self.network.layers[index]
        attention = block.attention
        scale, gate, mlp_scale, mlp_gate = block.adaLN_modulation(self.time)[:, None].chunk(4, -1)
        x = block.attention_norm1(self.tokens) * (1 + scale)
        heads, kv_heads = attention.n_local_heads, attention.n_local_kv_heads
        q, k, v = attention.qkv(x).unflatten(2, (heads + 2 * kv_heads, -1)).transpose(1, 2).split([heads, kv_heads, kv_heads], 1)
        q, k = attention.q_norm(q), attention.k_norm(k)
        rotated = apply_rope1(q, self.rotation), repeated(apply_rope1(k, self.rotation), heads)

        def leave(concept_out):
            x = self.tokens + gate.tanh() * block.attention_norm2(clamped(attention.out(concept_out)))
            mlp = block.feed_forward(block.ffn_norm1(x) * (1 + mlp_scale))
            self.tokens = x + mlp_gate.tanh() * block.ffn_norm2(clamped(mlp))

        return Entered(q, repeated(k, heads), repeated(v, heads), leave, rotated)

    def image_queries(self, q: Tensor, args: dict) -> Tensor:
        """Turned back."""
        return unrotated(q, self.picture_rotation()[:, :, : q.shape[2]])

    def picture_rotation(self) -> Tensor:
        """[1, 1, tokens, d / 2, 2, 2]"""
        x, patch = self.inputs["x"][:1], self.network.patch_size
        padded = torch.nn.functional.pad(x, (0, -x.shape[-1] % patch, 0, -x.shape[-2] % patch))
        omni = bool(self.inputs.get("ref_latents"))
        options = {"offset": self.offset(), "omni": omni, "transformer_options": self.inputs["transformer_options"]}
        _, rotations, _ = self.network.embed_all(padded, self.inputs["context"][:1], None, **options)
        return rotations[-1].movedim(1, 2)
