"""Agreement with the authors' own implementation, through ComfyUI's loader, guider and Flux."""

import pytest
import tiny
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.sampler import record_concepts
from concept_attention.concept_core.recording.half_precision import HalfPrecisionStep
from probe import call_at, conditioning
from reference import reference

SIGMAS = [0.9, 0.5]
GRID = (8, 12)


@pytest.fixture(scope="module")
def golden():
    return reference("flux")


@pytest.fixture(scope="module")
def heard(golden):
    """Everything that our stream computes on the golden input: (recording, samples, denoised, vectors per call)."""
    vectors = []

    model = tiny.flux(heads=2, depth=golden["depth"], single=golden["single"], seed=golden["seed"])
    concepts = Concepts(("a", "b", "c"), 3, "t5", golden["concepts"][0], torch.eye(3))
    patched, recording = record_concepts(model, concepts, observe=lambda scores, concept_out, image_out: vectors.append(concept_out))
    positive = conditioning(golden["context"], golden["y"], guidance=3.5)
    with torch.no_grad():
        denoised, samples = call_at(patched, positive, [golden["x"]] * 2, SIGMAS)
    return recording, samples, denoised, vectors


def test_the_model_is_the_same(golden, heard):
    for step, denoised in enumerate(heard[2]):
        velocity = (golden["x"] - denoised) / SIGMAS[step]
        torch.testing.assert_close(velocity, golden[f"velocity_{step}"], rtol=1e-4, atol=1e-4)


def test_concept_outputs(golden, heard):
    vectors = heard[3]
    for step in range(2):
        for block in range(3):
            expected = golden[f"concept_out_{step}_{block}"]
            torch.testing.assert_close(vectors[3 * step + block], expected, rtol=1e-3, atol=1e-5)


def test_scores_of_every_step_and_block(golden, heard):
    run = heard[0].runs[-1]
    for step, sigma in enumerate(sorted(run.steps, reverse=True)):
        for block in range(3):
            expected = golden[f"scores_out_{step}_{block}"]
            torch.testing.assert_close(run.steps[sigma]["output"][block], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("softmax", "name"), [(True, "map_out_softmax"), (False, "map_out_raw")])
def test_maps(golden, heard, softmax, name):
    recording, samples = heard[:2]
    maps = decode(recording, samples, blocks="all", softmax=softmax)
    assert maps.values.shape == (1, 3, *GRID)
    # Raw scores reach 90: between processors float32 differs by some 3e-6 of that.
    torch.testing.assert_close(maps.values, golden[name], rtol=0 if softmax else 1e-5, atol=1e-4)


def test_maps_of_a_large_recording_whose_scores_are_packed(golden, heard, monkeypatch):
    recording, samples = heard[:2]
    (run,) = recording.runs
    monkeypatch.setattr(run, "steps", {sigma: HalfPrecisionStep(step) for sigma, step in run.steps.items()})
    maps = decode(recording, samples, blocks="all").values
    torch.testing.assert_close(maps, golden["map_out_softmax"], rtol=0, atol=1e-4)
    raw = decode(recording, samples, blocks="all", softmax=False).values
    torch.testing.assert_close(raw, golden["map_out_raw"], rtol=0, atol=5e-4 * float(golden["map_out_raw"].abs().max()))
