"""The concept stream through ComfyUI's DoubleStreamBlock, which several families are made of."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from comfy.ldm.flux.layers import timestep_embedding
from comfy.ldm.flux.math import apply_rope1
from torch import Tensor
from torch.nn.functional import silu

from .family import Family
from .joint import Entered, JointStream, clamped

TIME_WIDTH = 256  # of the embedding of a timestep or a guidance


class DoubleStreamFamily(Family):
    """Models whose `double_blocks` are the joint ones; later blocks are single ones."""

    stream: type["DoubleStream"]

    @property
    def position_axes(self) -> tuple[int, ...]:
        """Those of the rotary positions that number the text's tokens; the others are 0."""
        return tuple(getattr(self.network.params, "txt_ids_dims", ()))

    @property
    def embedding_width(self) -> int:
        return self.network.params.context_in_dim

    @property
    def depth(self) -> int:
        return len(self.network.double_blocks)

    @property
    def default_blocks(self) -> range:
        """15 to 18 of 19, as published for Flux 1; of another depth the last fifth."""
        return last_fifth(self.depth)

    @property
    def later_blocks(self) -> list[tuple[str, int]]:
        return [("single_block", index) for index in range(len(self.network.single_blocks))]

    def new_stream(self, network, forward, inputs: dict) -> "DoubleStream":
        return self.stream(network, forward, inputs, self.position_axes, self.tokens_of(inputs.get("ref_latents")))


class DoubleStream(JointStream):
    """Through the text stream's own modules of `network.double_blocks`."""

    def __init__(self, network, forward, inputs: dict, position_axes: tuple[int, ...] = (), reference_tokens: int = 0):
        super().__init__(forward, [("double_block", index) for index in range(len(network.double_blocks))], reference_tokens)
        self.network, self.inputs, self.position_axes = network, inputs, position_axes
        self.made: tuple | None = None

    def begin(self, dtype):
        self.tokens = self.text_in(self.forward.concepts(dtype))
        self.rotation = self.rotary_positions()

    def text_in(self, embeddings: Tensor) -> Tensor:
        """[B, T, width] from a text encoder's embeddings."""
        return self.network.txt_in(embeddings)

    def rotary_positions(self) -> Tensor | None:
        """[1, 1, T, d / 2, 2, 2] of the concept tokens; None where they are at 0, which turns nothing."""
        if not self.position_axes:
            return None
        positions = self.forward.on_device.positions
        ids = positions.new_zeros(1, len(positions), len(self.network.params.axes_dim), dtype=torch.float32)
        ids[:, :, list(self.position_axes)] = positions[:, None].float()
        return self.network.pe_embedder(ids)

    def modulation(self, index: int, args: dict) -> tuple["Modulation", "Modulation"]:
        """Before attention and before the MLP: what the block's text has."""
        return modulations(self.network.double_blocks[index].txt_mod.lin(self.once(args["vec"], self.activated)))

    def activated(self, vec: Tensor) -> Tensor:
        """[B or 1, 1, width], of the recorded rows."""
        return silu(self.forward.take(vec))[:, None]

    def once(self, given, work):
        """What work makes of something that all blocks of a forward pass are given alike."""
        if self.made is None or self.made[0] is not given:
            self.made = given, work(given)
        return self.made[1]

    def enter(self, index: int, args: dict) -> Entered:
        block = self.network.double_blocks[index]
        first, second = self.modulation(index, args)
        x = torch.addcmul(first.shift, block.txt_norm1(self.tokens), first.factor)
        q, k, v = self.by_head(block.txt_attn.qkv(x), block.txt_attn.norm)

        def leave(concept_out):
            x = torch.addcmul(self.tokens, first.gate, block.txt_attn.proj(concept_out))
            mlp = block.txt_mlp(torch.addcmul(second.shift, block.txt_norm2(x), second.factor))
            self.tokens = clamped(torch.addcmul(x, second.gate, mlp))

        return Entered(q, k, v, leave, self.positioned(q, k))

    def by_head(self, qkv: Tensor, norm: Callable) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, T, d] from them side by side, [B, T, 3 · width]."""
        q, k, v = qkv.unflatten(2, (3, self.network.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return *norm(q, k, v), v

    def positioned(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor] | None:
        return None if self.rotation is None else (apply_rope1(q, self.rotation), apply_rope1(k, self.rotation))

    def image_queries(self, q: Tensor, args: dict) -> Tensor:
        """Turned back."""
        return unrotated(q, self.forward.take(args["pe"])[:, :, self.image_span(args)[0] :][:, :, : q.shape[2]])


class GivenModulationStream(DoubleStream):
    """Where blocks have no modulation of their own and are given the picture's and the text's."""

    def modulation(self, index: int, args: dict) -> tuple["Modulation", "Modulation"]:
        return self.once(args["vec"], self.of_text)

    def of_text(self, vec) -> tuple["Modulation", "Modulation"]:
        take = self.forward.take
        first, second = (Modulation(take(given.shift), 1 + take(given.scale), take(given.gate)) for given in vec[1])
        return first, second


@dataclass(frozen=True)
class Modulation:
    """Each [B or 1, 1, width]; factor is 1 + scale."""

    shift: Tensor
    factor: Tensor
    gate: Tensor


def modulations(six: Tensor) -> tuple[Modulation, Modulation]:
    """From shift, scale and gate of both, [B or 1, 1, 6 · width]."""
    shift, _, gate, second_shift, _, second_gate = six.chunk(6, -1)
    factor, second_factor = (1 + six.unflatten(-1, (6, -1))[..., 1::3, :]).unbind(-2)
    return Modulation(shift, factor, gate), Modulation(second_shift, second_factor, second_gate)


def time_embedding(t: Tensor, dtype) -> Tensor:
    """[B, TIME_WIDTH]"""
    return timestep_embedding(t, TIME_WIDTH).to(dtype)


def unrotated(q: Tensor, pe: Tensor) -> Tensor:
    """[B, heads, N, d] float32 before the rotation by pe [B or 1, 1, N, d / 2, 2, 2]."""
    pairs = q.float().unflatten(-1, (-1, 2))
    return (pe[..., 0, :] * pairs[..., :1] + pe[..., 1, :] * pairs[..., 1:]).flatten(-2)


def last_fifth(depth: int) -> range:
    return range(depth - -(-depth // 5), depth)
