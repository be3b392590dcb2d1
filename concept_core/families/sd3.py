"""The concept stream of SD3 and SD3.5 (medium, large, turbo): ComfyUI's MMDiT."""

from torch import Tensor

from .text_encoders import CLIP, T5


class SD3:
    name = "SD3 and SD3.5 (medium, large, turbo)"
    encoders = {"clip": CLIP, "t5": T5}
    clip_parts = {"l", "g", "t5xxl"}
    clip_hint = "For SD3 load CLIP-L and CLIP-G, with or without T5-XXL, with TripleCLIPLoader or with DualCLIPLoader, type sd3."
    wrapper = "apply_model"
    latent_pixel = 8
    patch = 2
    normalises_concepts = True

    @staticmethod
    def matches(network) -> bool:
        kind = type(network)
        if (kind.__module__, kind.__name__) != ("comfy.ldm.modules.diffusionmodules.mmdit", "OpenAISignatureMMDITWrapper"):
            return False
        return network.context_processor is None and hasattr(network.context_embedder, "in_features")

    @staticmethod
    def embedding_width(network) -> int:
        return network.context_embedder.in_features

    @staticmethod
    def width(network) -> int:
        return network.hidden_size

    @staticmethod
    def depth(network) -> int:
        """All blocks but the last, which has no text output: its text queries were never trained."""
        return len(network.joint_blocks) - 1

    @staticmethod
    def default_blocks(depth: int) -> range:
        return range(depth)

    @staticmethod
    def later_blocks(network) -> list[tuple[str, int]]:
        return [("double_block", SD3.depth(network))]

    @staticmethod
    def as_authors_encode(conditioning: dict, network) -> dict:
        return conditioning

    @staticmethod
    def forward_with(recorder):
        """An APPLY_MODEL wrapper: MMDiT knows no DIFFUSION_MODEL wrappers."""

        def forward(executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options={}, **kwargs):
            network = executor.class_obj.diffusion_model
            network = getattr(network, "_orig_mod", network)  # torch.compile's wrapper may lie around it
            with recorder.listening(x, transformer_options, lambda call: SD3Stream(network, call)) as options:
                return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)

        return forward


class SD3Stream:
    """The third stream, through the text stream's own modules and modulated by the prompt's own vector."""

    def __init__(self, network, call):
        self.network, self.call = network, call
        self.blocks = network.joint_blocks
        self.block_names = [("double_block", index) for index in range(SD3.depth(network))]

    def begin(self, dtype):
        self.tokens = self.network.context_embedder(self.call.concepts(dtype))

    def enter(self, index: int, args: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values [B, heads, T, d] of the concept tokens in a block."""
        block = self.blocks[index].context_block
        qkv, self.intermediates = block.pre_attention(self.tokens, self.call.take(args["vec"]))
        return tuple(x.reshape(*x.shape[:2], block.attn.num_heads, -1).transpose(1, 2) for x in qkv)

    def leave(self, index: int, attended: Tensor):
        """Add what the tokens attended to, [B, T, width] before the output projection, and the MLP."""
        self.tokens = self.blocks[index].context_block.post_attention(attended, *self.intermediates)

    def image_queries(self, q: Tensor, args: dict) -> Tensor:
        """The image queries [B, heads, N, d] as they are: positions are added to the tokens."""
        return q
