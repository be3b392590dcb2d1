"""Samplings that the nodes of live maps steer, from the second step on."""

import torch

from ..concept_core.record.guidance import with_guidance
from ..concept_core.record.lock import with_lock
from ..concept_core.record.regions import with_region
from ..concept_core.recording.recording import Recording
from ..concept_core.steer.guidance import Guidance
from ..concept_core.steer.lock import Lock
from ..concept_core.steer.region import Region
from . import models
from .measure import Sampling

STEERED = ("region", "lock", "guidance")
CFG = 4.5  # where guidance is scaled


def draw_scores(scores: dict[str, torch.Tensor], *_):
    """Smooth ones in place of those of random weights, which show no concept anywhere: for record_concepts to observe."""
    for each in scores.values():
        concepts, side = each.shape[1], round(each.shape[2] ** 0.5)
        noise = torch.randn(1, concepts, side, side, generator=torch.Generator().manual_seed(0))
        each.copy_(20 * torch.nn.functional.avg_pool2d(noise, 9, 1, 4).flatten(2))


def steered(node: str, patched, recording: Recording, sampling: Sampling, size: models.Size):
    """A MODEL that one of STEERED steers by the first concept; `sampling` gets the prompt, the source or the cfg that the node wants."""
    concept = recording.concepts.names[0]
    if node == "region":
        first, second = sampling.prompts
        base = [[context, {**values, "default": True}] for context, values in first]
        sampling.prompts = with_region(models.prompt(size, 3), Region(recording, concept)) + base, second
        return patched
    if node == "lock":
        sampling.latent = torch.randn(sampling.latent.shape, generator=torch.Generator().manual_seed(2))
        return with_lock(patched, Lock(recording, concept))
    sampling.cfg = CFG
    return with_guidance(patched, Guidance(recording, concept, scale=1.5))
