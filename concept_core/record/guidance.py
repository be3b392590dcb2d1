"""Scales CFG over the picture while a model samples.

All that makes the guided prediction of the two, ComfyUI's own formula or other nodes' functions, is asked twice: with the sampler's cfg and
with the scaled one. The live map goes from the one to the other. So whatever those functions do is done right for both.
"""

import math
from dataclasses import dataclass, field

import torch
from comfy.patcher_extension import WrappersMP
from comfy.samplers import CFGGuider, cfg_function
from torch import Tensor

from ..steer.guidance import Guidance
from ..steer.live import check_picture
from .live import Live
from .sampler import Recorder
from .steered_model import recorder_of

KEY = "concept_attention_guidance"
NODE = "Concept Guidance"


def with_guidance(model, guidance: Guidance):
    """A clone of a MODEL with CFG scaled on a concept. ValueError unless the guidance's recording is that model's."""
    recorder = recorder_of(model, guidance.recording, NODE)
    model = model.clone()
    if guidance.from_percent < 1 and guidance.scale != 1:
        guiding = Guiding(guidance, recorder)
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, guiding.predict_noise)
        model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, guiding.calc_cond_batch)
    return model


class Guiding:
    """Belongs to one patched model. asked: whether the model was asked in this prediction, which caches may spare."""

    def __init__(self, guidance: Guidance, recorder: Recorder):
        self.guidance, self.recorder, self.asked = guidance, recorder, False

    def predict_noise(self, executor, x, timestep, model_options={}, seed=None):
        """PREDICT_NOISE wrapper."""
        guider, live = executor.class_obj, self.recorder.live
        check_picture(live.receiver.run)
        check_negative(guider, model_options)
        mask = self.mask(live, x, timestep)
        if mask is None:
            return executor(x, timestep, model_options, seed)
        scaled, self.asked = ScaledCFG(guider, model_options, self.guidance.scale, mask), False
        out = executor(x, timestep, scaled.model_options(), seed)
        if self.asked and not scaled.used:
            raise not_comfyuis(guider)
        return out

    def calc_cond_batch(self, executor, *args, **kwargs):
        """CALC_COND_BATCH wrapper."""
        self.asked = True
        return executor(*args, **kwargs)

    def mask(self, live: Live, x: Tensor, timestep: Tensor) -> Tensor | None:
        """[B, 1, h, w]; None where nothing is to be scaled."""
        mask = live.mask(self.guidance, x) if live.acts(self.guidance, timestep) else None
        return mask[:, None] if mask is not None and mask.any() else None


@dataclass
class ScaledCFG:
    """Stands in for the CFG functions of one prediction.

    others: the model options with those functions. mask: [B, 1, h, w], where cfg is to be `scale` times as much.
    """

    guider: CFGGuider
    others: dict
    scale: float
    mask: Tensor
    used: bool = False
    results: list[Tensor] = field(default_factory=list)

    def model_options(self) -> dict:
        return {**self.others, "sampler_cfg_function": self.predict, "sampler_post_cfg_function": [self.give_out]}

    def predict(self, args: dict) -> Tensor:
        """ComfyUI's sampler_cfg_function; what it gives out is rounded, so that give_out hands over what it was made of."""
        if args["input_cond"] is not self.guider.conds.get("positive"):
            raise not_comfyuis(self.guider)
        predictions = args["cond_denoised"], args["uncond_denoised"]
        conds = args["input_cond"], args["input_uncond"]
        plain, scaled = (
            cfg_function(args["model"], *predictions, cfg, args["input"], args["timestep"], self.others, *conds)
            for cfg in (args["cond_scale"], args["cond_scale"] * self.scale)
        )
        self.used = True
        self.results.append(torch.lerp(plain, scaled, self.mask))
        return args["input"] - self.results[-1]

    def give_out(self, args: dict) -> Tensor:
        if not self.results:
            raise not_comfyuis(self.guider)
        return self.results.pop()


def check_negative(guider: CFGGuider, model_options: dict):
    if math.isclose(guider.cfg, 1.0) and not model_options.get("disable_cfg1_optimization", False):
        raise ValueError(
            f"{NODE} scales CFG, and cfg is 1 here, so the model is never asked about a negative prompt and there is nothing to scale: "
            "raise cfg, in KSampler or by CFG Guider. For models that are made for cfg 1, such as Flux dev, take the node out."
        )


def not_comfyuis(guider: CFGGuider) -> ValueError:
    return ValueError(
        f"{NODE} does not know how {type(guider).__name__} joins its predictions: use KSampler or CFG Guider, or take the node out."
    )
