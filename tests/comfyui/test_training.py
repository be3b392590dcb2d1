"""The functions that the demo models are trained through are the models that sample."""

import differentiable_flux
import differentiable_hunyuan
import differentiable_sd3
import pytest
import tiny
import torch
from batches import Batch
from clip_batches import ClipBatch, ClipTextEncoders
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


def test_the_differentiable_video_model_is_the_one_that_samples():
    """Two texts of different lengths, so that one is padded in the batch; concepts of two lengths, one of them a padded place."""
    torch.manual_seed(0)
    model, sigma, width, pooled = tiny.hunyuan_video(), 0.6, 4096, torch.randn(2, 768)
    latent, contexts = torch.randn(2, 16, 3, 8, 12), [torch.randn(1, length, width) for length in (6, 4)]
    texts, starts = [torch.randn(length, width) for length in (3, 4)], (1, 2)
    weights = torch.eye(2)
    concepts = Concepts(
        ("a", "b"), 2, "llama of HunyuanVideo", torch.stack([text[start] for text, start in zip(texts, starts)]), weights,
        sequences=tuple(texts), starts=starts,
    )  # fmt: skip
    outs, recorded = [], []
    with torch.no_grad():
        for row in range(2):
            patched, recording = record_concepts(model, concepts, spaces="all")
            (denoised,), _ = call_at(patched, conditioning(contexts[row], pooled[row : row + 1]), [latent[row : row + 1]], [sigma, 0.0])
            outs.append((latent[row : row + 1] - denoised) / sigma)
            recorded.append(recording.runs[0].steps.popitem()[1])
    pad = torch.nn.functional.pad
    batch = ClipBatch(
        latent,
        torch.cat((contexts[0], pad(contexts[1], (0, 0, 0, 2)))),
        torch.tensor([[True] * 6, [True] * 4 + [False] * 2]),
        pooled,
        torch.stack((pad(texts[0], (0, 0, 0, 1)), texts[1], torch.zeros(4, width))).expand(2, -1, -1, -1),
        torch.tensor([[True, True, True, False], [True] * 4, [False] * 4]).expand(2, -1, -1),
        torch.tensor([*starts, 0]).expand(2, -1),
    )
    with torch.no_grad():
        found = differentiable_hunyuan.flow_and_scores(model.model.diffusion_model, latent, torch.full((2,), sigma), batch)
    velocity, scores, cross_scores = found
    torch.testing.assert_close(velocity, torch.cat(outs), rtol=1e-4, atol=1e-4)
    for space, found in (("output", scores), ("cross-attention", cross_scores)):
        expected = torch.cat([step[space] for step in recorded], 1)
        torch.testing.assert_close(torch.stack(found)[:, :, :2], expected, rtol=1e-4, atol=1e-4)


def test_a_video_model_begins_as_the_demo_flux():
    """But for what reads the text, and rotary positions that are slower."""
    flux = differentiable_flux.load(differentiable_flux.FILE)
    model = differentiable_hunyuan.new_model()
    new = differentiable_hunyuan.begin_as_flux(model, flux, ClipTextEncoders(differentiable_hunyuan.load_clip()))
    assert new and all(name.startswith("txt_in.") for name in new)
    first = differentiable_flux.new_model()
    first.load_state_dict(flux)
    torch.manual_seed(0)
    tokens, sigma = torch.randn(1, 16, 2, 2), torch.tensor([0.5])  # one token, which no position turns
    none = torch.zeros(1, 0, 128)
    with torch.no_grad():
        pooled = torch.randn(1, 64)
        as_flux, *_ = differentiable_flux.flow_and_scores(first, tokens, sigma, Batch(tokens, none, pooled))
        of_clip = ClipBatch(tokens[:, :, None], none, torch.ones(1, 0, dtype=torch.bool), torch.nn.functional.pad(pooled, (0, 704)))
        as_video, *_ = differentiable_hunyuan.flow_and_scores(model, tokens[:, :, None], sigma, of_clip)
    torch.testing.assert_close(as_video[:, :, 0], as_flux, rtol=1e-4, atol=1e-4)
