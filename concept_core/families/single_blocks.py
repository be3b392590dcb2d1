"""Flux's single blocks as further blocks of the concept stream. Text and picture share their weights, and attention runs beside the MLP."""

import torch

from .double_stream import DoubleStream, DoubleStreamFamily, Modulation
from .joint import Entered, clamped


class SingleBlocksFamily(DoubleStreamFamily):
    @property
    def single_blocks(self) -> int:
        return len(self.network.single_blocks)


class SingleBlocksStream(DoubleStream):
    """From the double blocks on through as many single ones as are recorded."""

    def __init__(self, network, forward, *options):
        super().__init__(network, forward, *options)
        self.block_names += [("single_block", index) for index in range(forward.recording.single_blocks)]

    def image_span(self, args: dict) -> tuple[int, int]:
        return super().image_span(args) if "txt" in args else tuple(args["transformer_options"]["img_slice"])

    def single_modulation(self, block, args: dict) -> Modulation:
        """What the text has in a single block."""
        raise NotImplementedError

    def enter(self, index: int, args: dict) -> Entered:
        double = len(self.network.double_blocks)
        return super().enter(index, args) if index < double else self.enter_single(self.network.single_blocks[index - double], args)

    def enter_single(self, block, args: dict) -> Entered:
        modulation = self.single_modulation(block, args)
        x = torch.addcmul(modulation.shift, block.pre_norm(self.tokens), modulation.factor)
        qkv, mlp = block.linear1(x).tensor_split([3 * block.hidden_size], -1)
        q, k, v = self.by_head(qkv, block.norm)

        def leave(concept_out):
            out = block.linear2(torch.cat((concept_out, block.mlp_act(mlp)), -1))
            self.tokens = clamped(torch.addcmul(self.tokens, modulation.gate, out))

        return Entered(q, k, v, leave, self.positioned(q, k))
