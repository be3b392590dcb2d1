"""SD3 and SD3.5: ComfyUI's MMDiT."""

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..recording.recipe import LATE_STEPS
from .family import Family, is_network
from .joint import Entered, JointStream, split_heads


class SD3(Family):
    name = "SD3 and SD3.5 (medium, large, turbo)"
    key = "sd3"
    encoders = ("clip", "t5")
    clip_hint = "For SD3 load CLIP-L and CLIP-G, with or without T5-XXL, with TripleCLIPLoader or with DualCLIPLoader, type sd3."
    clip_type = "sd3"
    wrapper = WrappersMP.APPLY_MODEL  # MMDiT knows no DIFFUSION_MODEL wrappers
    normalises_concepts = True
    recipe = LATE_STEPS

    @staticmethod
    def matches(model) -> bool:
        if not is_network(model, "comfy.ldm.modules.diffusionmodules.mmdit", "OpenAISignatureMMDITWrapper"):
            return False
        network = model.get_model_object("diffusion_model")
        return network.context_processor is None and hasattr(network.context_embedder, "in_features")

    @property
    def embedding_width(self) -> int:
        return self.network.context_embedder.in_features

    @property
    def depth(self) -> int:
        """All blocks but the last, which has no text output: its text queries were never trained."""
        return len(self.network.joint_blocks) - 1

    @property
    def default_blocks(self) -> range:
        return range(self.depth)

    @property
    def later_blocks(self) -> list[tuple[str, int]]:
        return [("double_block", self.depth)]

    def prompt_given(self, inputs: dict, forward) -> Tensor:
        return inputs["c_crossattn"]

    def new_stream(self, network, forward, inputs: dict) -> JointStream:
        return SD3Stream(network, forward, self.depth)


class SD3Stream(JointStream):
    """Through the text stream's own modules, modulated by the prompt's own vector. Positions are added to the image's tokens alone."""

    def __init__(self, network, forward, depth: int):
        super().__init__(forward, [("double_block", index) for index in range(depth)])
        self.network = network

    def begin(self, dtype):
        self.tokens = self.network.context_embedder(self.forward.concepts(dtype))

    def enter(self, index: int, args: dict) -> Entered:
        block = self.network.joint_blocks[index].context_block
        qkv, rest = block.pre_attention(self.tokens, self.forward.take(args["vec"]))
        q, k, v = (split_heads(x, block.attn.num_heads) for x in qkv)

        def leave(concept_out):
            self.tokens = block.post_attention(concept_out, *rest)

        return Entered(q, k, v, leave)
