"""HunyuanImage 2.1, HunyuanVideo and HunyuanVideo 1.5, all of ComfyUI's HunyuanVideo class.

Its token refiner reads each concept's text alone.
"""

import torch
from comfy.ldm.flux.layers import timestep_embedding
from torch import Tensor
from torch.nn.functional import silu

from .double_stream import TIME_WIDTH, DoubleStream, DoubleStreamFamily, time_embedding
from .family import is_network, later_two_thirds


class HunyuanStream(DoubleStream):
    """The refiner knows the time, so it reads the concepts anew in each step.

    A reference picture's tokens stand before the clip's.
    """

    def begin(self, dtype):
        timestep = self.forward.take(self.inputs["timestep"])
        refined = []
        for sequence, (start, stop) in zip(self.forward.on_device.sequences, self.forward.on_device.spans):
            rows = sequence.to(dtype).expand(len(timestep), -1, -1)
            refined.append(self.network.txt_in(rows, timestep, None)[:, start:stop])
        self.tokens, self.rotation = torch.cat(refined, 1), None
        kinds = getattr(self.network, "cond_type_embedding", None)
        if kinds is not None:
            self.tokens = self.tokens + kinds(torch.zeros((), device=self.tokens.device, dtype=torch.long)).to(dtype)

    def activated(self, vec: Tensor) -> Tensor:
        """Where a first frame is given, its modulation stands before that of all else, [B, 2, width]."""
        return super().activated(vec if vec.ndim == 2 else vec[:, 1])

    def image_span(self, args: dict) -> tuple[int, int]:
        text, end = super().image_span(args)
        return text + self.tokens_before(), end

    def tokens_before(self) -> int:
        reference = self.inputs.get("ref_latent")
        if reference is None:
            return 0
        patches = self.network.patch_size
        return int(torch.tensor(reference.shape[-len(patches) :]).div(torch.tensor(patches), rounding_mode="floor").prod())


class HunyuanVideoStream(HunyuanStream):
    """Its tokens are modulated by time, guidance and `vector_in(0)`, without the pooled prompt, as in Flux 1."""

    def begin(self, dtype):
        super().begin(dtype)
        network, take, guidance = self.network, self.forward.take, self.inputs["guidance"]
        vec = network.time_in(timestep_embedding(take(self.inputs["timestep"]), TIME_WIDTH, time_factor=1.0).to(dtype))
        if network.params.guidance_embed and guidance is not None:
            vec = vec + network.guidance_in(time_embedding(take(guidance), dtype))
        self.vec = silu(vec + network.vector_in(vec.new_zeros(1, network.params.vec_in_dim)))[:, None]

    def activated(self, vec: Tensor) -> Tensor:
        return self.vec


class Hunyuan(DoubleStreamFamily):
    stream: type[DoubleStream] = HunyuanStream

    @classmethod
    def matches(cls, model) -> bool:
        if not is_network(model, "comfy.ldm.hunyuan_video.model", "HunyuanVideo"):
            return False
        params = model.get_model_object("diffusion_model").params
        return cls.has(len(params.patch_size) == 3, params.vec_in_dim is not None)

    @staticmethod
    def has(frames: bool, pooled_prompt: bool) -> bool:
        """Whether models with the one or the other are of this family."""
        raise NotImplementedError

    @property
    def patch(self) -> int:
        return self.network.patch_size[-1]


class HunyuanImage(Hunyuan):
    name = "HunyuanImage 2.1"
    key = "hunyuan-image"
    encoders = ("qwen2.5-vl of HunyuanImage",)
    clip_hint = "For HunyuanImage load Qwen2.5-VL and ByT5 with DualCLIPLoader, type hunyuan_image."
    clip_type = "hunyuan_image"

    @staticmethod
    def has(frames: bool, pooled_prompt: bool) -> bool:
        return not frames and not pooled_prompt


class HunyuanVideo(Hunyuan):
    """The blocks are those that IMAP (CVPR 2026) takes, all that are joint."""

    name = "HunyuanVideo"
    key = "hunyuan-video"
    encoders = ("llama of HunyuanVideo",)
    clip_hint = "For HunyuanVideo load CLIP-L and Llama with DualCLIPLoader, type hunyuan_video."
    clip_type = "hunyuan_video"
    stream: type[HunyuanStream] = HunyuanVideoStream
    frames_per_latent = 4
    hears_prompt_words = False

    @staticmethod
    def has(frames: bool, pooled_prompt: bool) -> bool:
        return frames and pooled_prompt

    @property
    def patch_frames(self) -> int:
        return self.network.patch_size[0]

    @property
    def default_blocks(self) -> range:
        return range(self.depth)


class HunyuanVideo15(HunyuanVideo):
    """Joint blocks go to the end of it."""

    name = "HunyuanVideo 1.5"
    key = "hunyuan-video-1.5"
    encoders = ("qwen2.5-vl of HunyuanVideo 1.5",)
    clip_hint = "For HunyuanVideo 1.5 load Qwen2.5-VL and ByT5 with DualCLIPLoader, type hunyuan_video_15."
    clip_type = "hunyuan_video_15"
    stream = HunyuanStream

    @staticmethod
    def has(frames: bool, pooled_prompt: bool) -> bool:
        return frames and not pooled_prompt

    @property
    def default_blocks(self) -> range:
        return later_two_thirds(self.depth)
