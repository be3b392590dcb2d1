"""HunyuanImage 2.1: ComfyUI's HunyuanVideo class for pictures, whose token refiner reads each concept's text alone."""

import torch

from .double_stream import DoubleStream, DoubleStreamFamily
from .family import is_network


class HunyuanStream(DoubleStream):
    """The refiner knows the time, so it reads the concepts anew in each step."""

    def begin(self, dtype):
        timestep = self.forward.take(self.inputs["timestep"])
        refined = []
        for sequence, (start, stop) in zip(self.forward.on_device.sequences, self.forward.on_device.spans):
            rows = sequence.to(dtype).expand(len(timestep), -1, -1)
            refined.append(self.network.txt_in(rows, timestep, None)[:, start:stop])
        self.tokens, self.rotation = torch.cat(refined, 1), None


class HunyuanImage(DoubleStreamFamily):
    name = "HunyuanImage 2.1"
    key = "hunyuan-image"
    encoders = ("qwen2.5-vl of HunyuanImage",)
    clip_hint = "For HunyuanImage load Qwen2.5-VL and ByT5 with DualCLIPLoader, type hunyuan_image."
    clip_type = "hunyuan_image"
    stream = HunyuanStream

    @staticmethod
    def matches(model) -> bool:
        if not is_network(model, "comfy.ldm.hunyuan_video.model", "HunyuanVideo"):
            return False
        params = model.get_model_object("diffusion_model").params
        return len(params.patch_size) == 2 and params.vec_in_dim is None

    @property
    def patch(self) -> int:
        return self.network.patch_size[-1]
