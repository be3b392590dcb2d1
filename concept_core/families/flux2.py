"""Flux.2: ComfyUI's Flux class with one modulation for all blocks and no pooled prompt."""

from ..recording.recipe import Recipe
from .double_stream import GivenModulationStream, Modulation
from .family import is_network
from .single_blocks import SingleBlocksFamily, SingleBlocksStream


class Flux2Stream(SingleBlocksStream, GivenModulationStream):
    def single_modulation(self, block, args: dict) -> Modulation:
        return self.once(args["vec"], self.of_joint)

    def of_joint(self, given) -> Modulation:
        """The text's, which comes first where reference latents have another."""
        shift, scale, gate = (self.forward.take(x)[:, :1] for x in (given.shift, given.scale, given.gate))
        return Modulation(shift, 1 + scale, gate)


class Flux2(SingleBlocksFamily):
    """The authors' recipe is for the eight double blocks of Flux.2 dev."""

    name = "Flux.2 (dev, Klein)"
    key = "flux2"
    encoders = ("mistral3", "qwen3 of Klein")
    clip_hint = "For Flux.2 load its text encoder (Mistral 3 for dev, Qwen3 for Klein) with CLIPLoader, type flux2."
    clip_type = "flux2"
    stream = Flux2Stream
    recipe = Recipe(mean_first=True, temperature=1000.0, from_step=0.7, without_last=1)

    @staticmethod
    def matches(model) -> bool:
        return is_network(model, "comfy.ldm.flux.model", "Flux") and model.get_model_object("diffusion_model").params.global_modulation

    @property
    def default_blocks(self) -> range:
        """5 to 7 of 8, as published; of another depth the last three eighths."""
        return range(self.depth - -(-3 * self.depth // 8), self.depth)

    def as_authors_encode(self, options: dict) -> dict:
        """Guidance 0."""
        return {**options, "guidance": 0.0}
