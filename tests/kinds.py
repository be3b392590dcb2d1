"""One tiny model, its prompts and concepts for each family, and how the tests sample with it."""

from dataclasses import dataclass

import comfy.sample
import tiny
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.record.sampler import record_concepts
from probe import conditioning

SHARE = torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1.0]])


@dataclass
class Kind:
    name: str
    load: callable
    encoder: str

    def __post_init__(self):
        self.model = self.load()
        generator = torch.Generator().manual_seed(1)
        self.prompts = [conditioning(torch.randn(1, 6, 64, generator=generator), torch.randn(1, 32, generator=generator)) for _ in range(3)]
        self.concepts = Concepts(("a", "b", "c"), 3, self.encoder, torch.randn(4, 64, generator=generator), SHARE)

    def record(self, model=None, start_percent=0.0, end_percent=1.0, **options):
        """(patched model, recording)"""
        window = {"start_percent": start_percent, "end_percent": end_percent}
        return record_concepts(model or self.model, self.concepts, **window, **options)

    def sample(
        self, model=None, seed=0, size=(8, 12), batch=1, sampler="euler", scheduler="simple", steps=4, cfg=1.0,
        positive=None, negative=None, latent=None, noise_inds=None, **options,
    ):  # fmt: skip
        """What KSampler gives out."""
        latent = torch.zeros(batch, 16, *size) if latent is None else latent
        noise = options.pop("noise", None)
        if noise is None:
            noise = comfy.sample.prepare_noise(latent, seed, noise_inds)
        positive = self.prompts[0] if positive is None else positive
        conditionings = positive, self.prompts[1] if negative is None else negative
        return comfy.sample.sample(
            model or self.model, noise, steps, cfg, sampler, scheduler, *conditionings, latent, seed=seed, disable_pbar=True, **options
        )


def kinds():
    return {"flux": Kind("flux", tiny.flux, "t5"), "sd3": Kind("sd3", lambda: tiny.sd3(second_attention=(0,)), "clip")}
