"""A recording made by hand."""

import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.recording.recording import Recording, Run
from concept_attention.concept_core.recording.scores import CROSS_SHARE

SPACES = ("output", "cross-attention", "value")


def made(batch=3, frames=None, patch_frames=1):
    """(recording, samples) of 4 steps, 5 blocks and a grid of 2 x 3. frames: of a clip's latent, patch_frames of which are in one token."""
    generator = torch.Generator().manual_seed(0)
    concepts = Concepts(("dragon", "rock, wet", "空"), 2, "t5", torch.zeros(3, 8), torch.eye(3))
    tall = -(-(frames or 1) // patch_frames)
    run = Run(batch, (frames or 1, 4, 6), (tall, 2, 3), (32, 48), lambda percent: 1 - percent**2)
    for sigma in (1.0, 0.8, 0.5, 0.1):
        scores = {space: torch.randn(5, batch, 3, 6 * tall, generator=generator) for space in (*SPACES, CROSS_SHARE)}
        run.steps[sigma] = scores | {CROSS_SHARE: scores[CROSS_SHARE].softmax(2)}
    samples = torch.randn(batch, 16, *([frames] if frames else []), 4, 6, generator=generator)
    run.latents.append(samples)
    return Recording(concepts, SPACES, 5, range(3, 5), 16, [run], frames_per_latent=4 if frames else 0), samples
