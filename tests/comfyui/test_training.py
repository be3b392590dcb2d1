"""The functions that the demo models are trained through are the models that sample."""

import differentiable_flux
import differentiable_sd3
import pytest
import tiny
import torch
from batches import Batch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.record.sampler import record_concepts
from probe import call_at, conditioning

pytestmark = pytest.mark.long  # asks nothing of ComfyUI that changes with its version

FAMILIES = {
    "flux": (differentiable_flux, lambda: tiny.flux(depth=4, single=2), "t5", slice(-differentiable_flux.SCORED_BLOCKS, None)),
    "sd3": (differentiable_sd3, lambda: tiny.sd3(depth=4), "clip", slice(None)),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_differentiable_model_is_the_one_that_samples(family):
    torch.manual_seed(0)
    differentiable, load, encoder, scored = FAMILIES[family]
    model, sigma = load(), 0.6
    latent, context, pooled, embeddings = torch.randn(1, 16, 8, 12), torch.randn(1, 6, 64), torch.randn(1, 32), torch.randn(3, 64)
    share = torch.tensor([[0.5, 0.5, 0], [0, 0, 1]])
    patched, recording = record_concepts(model, Concepts(("a", "b"), 2, encoder, embeddings, share), spaces="all")
    with torch.no_grad():
        (denoised,), _ = call_at(patched, conditioning(context, pooled, guidance=3.5), [latent], [sigma, 0.0])
    padded = torch.nn.functional.pad(embeddings, (0, 0, 0, 2))[None]
    there = torch.tensor([[True, True, True, False, False]])
    batch = Batch(latent, context, pooled, padded, there, torch.nn.functional.pad(share, (0, 2))[None], None, None)
    velocity, scores, cross_scores = differentiable.flow_and_scores(model.model.diffusion_model, latent, torch.tensor([sigma]), batch)
    torch.testing.assert_close(velocity, (latent - denoised) / sigma, rtol=1e-4, atol=1e-4)
    (recorded,) = recording.runs[0].steps.values()
    torch.testing.assert_close(torch.stack(scores), recorded["output"][scored], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.stack(cross_scores), recorded["cross-attention"][scored], rtol=1e-4, atol=1e-4)
