"""Flux 1: ComfyUI's Flux class with modulation per block and a pooled prompt."""

import torch
from torch.nn.functional import silu

from ..recording.recipe import LATE_STEPS
from .double_stream import Modulation, modulations, time_embedding
from .family import is_network
from .single_blocks import SingleBlocksFamily, SingleBlocksStream


class Flux1Stream(SingleBlocksStream):
    """Its tokens are modulated by time, guidance and `vector_in(0)`, without the pooled prompt. Their position is 0."""

    def begin(self, dtype):
        super().begin(dtype)
        network, take = self.network, self.forward.take
        guidance = self.inputs.get("guidance")
        vec = network.time_in(time_embedding(take(self.inputs["timestep"]), dtype))
        if network.params.guidance_embed and guidance is not None:
            vec = vec + network.guidance_in(time_embedding(take(guidance), dtype))
        self.vec = silu(vec + network.vector_in(vec.new_zeros(1, network.params.vec_in_dim)))[:, None]

    def modulation(self, index: int, args: dict) -> tuple[Modulation, Modulation]:
        return modulations(self.network.double_blocks[index].txt_mod.lin(self.vec))

    def single_modulation(self, block, args: dict) -> Modulation:
        shift, scale, gate = block.modulation.lin(self.vec).chunk(3, -1)
        return Modulation(shift, 1 + scale, gate)


class Flux1(SingleBlocksFamily):
    name = "Flux 1 (dev, schnell, Krea, Kontext, Fill)"
    key = "flux"
    encoders = ("t5",)
    clip_hint = "For Flux 1 load CLIP-L and T5-XXL with DualCLIPLoader, type flux."
    clip_type = "flux"
    stream = Flux1Stream
    recipe = LATE_STEPS

    @staticmethod
    def matches(model) -> bool:
        if not is_network(model, "comfy.ldm.flux.model", "Flux"):
            return False
        # Flux.2 modulates all blocks alike; Ovis and LongCat number their text tokens and have no pooled prompt.
        network = model.get_model_object("diffusion_model")
        params = network.params
        plain = not params.global_modulation and params.vec_in_dim is not None and not params.txt_ids_dims
        return plain and getattr(network, "txt_norm", None) is None

    def as_authors_encode(self, options: dict) -> dict:
        """Guidance 0, and zeros for the pooled prompt."""
        return {**options, "guidance": 0.0, "pooled_output": torch.zeros(1, self.network.params.vec_in_dim)}
