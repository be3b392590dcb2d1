"""Agreement with the authors' own implementation for Flux.2, through ComfyUI's loader, guider and Flux."""

import pytest
import tiny
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.sampler import record_concepts
from probe import call_at, conditioning
from reference import reference

SIGMAS = [0.9, 0.5]
BLOCKS = 4


@pytest.fixture(scope="module")
def golden():
    return reference("flux2")


@pytest.fixture(scope="module")
def heard(golden):
    """(recording, samples, denoised, concept_out of each call and block) on the golden input."""
    vectors = []
    model = tiny.flux2(heads=2, depth=golden["depth"], single=golden["single"], seed=golden["seed"], guidance=True)
    concepts = Concepts(("a", "b", "c"), 3, "mistral3", golden["concepts"][0], torch.eye(3), positions=torch.full((3,), 510))
    observe = lambda scores, concept_out, image_out: vectors.append(concept_out)  # noqa: E731
    patched, recording = record_concepts(model, concepts, spaces="all", observe=observe)
    with torch.no_grad():
        positive = conditioning(golden["context"], None, guidance=golden["guidance"])
        denoised, samples = call_at(patched, positive, [golden["x"]] * 2, SIGMAS)
    return recording, samples, denoised, vectors


def test_the_model_is_the_same(golden, heard):
    for step, denoised in enumerate(heard[2]):
        velocity = (golden["x"] - denoised) / SIGMAS[step]
        torch.testing.assert_close(velocity, golden[f"velocity_{step}"], rtol=1e-4, atol=1e-4)


def test_concept_outputs_and_scores(golden, heard):
    recording, _, _, vectors = heard
    steps = recording.runs[-1].steps
    for step, sigma in enumerate(sorted(steps, reverse=True)):
        for block in range(BLOCKS):
            expected = golden[f"concept_out_{step}_{block}"]
            torch.testing.assert_close(vectors[BLOCKS * step + block], expected, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(steps[sigma]["output"][block], golden[f"scores_out_{step}_{block}"], rtol=1e-3, atol=1e-3)


def test_our_order_and_temperature_on_their_scores(golden, heard):
    recording, samples = heard[:2]
    maps = decode(recording, samples, blocks="all", order="softmax first", temperature=1e-3)
    torch.testing.assert_close(maps.values, golden["map_out_softmax"], rtol=0, atol=1e-4)
    raw = decode(recording, samples, blocks="all", softmax=False).values
    torch.testing.assert_close(raw, golden["map_out_raw"], rtol=1e-5, atol=1e-4)


def test_the_authors_recipe_is_what_auto_does(golden, heard):
    """Their values lie within 5e-4 of one another, and the order of softmax and mean shows in the seventh digit."""
    recording, samples = heard[:2]
    maps = decode(recording, samples, blocks="1-3").values[0]
    torch.testing.assert_close(maps, golden["heatmap_authors"], rtol=0, atol=1e-6)
    raw = decode(recording, samples, blocks="1-3", softmax=False).values[0]
    torch.testing.assert_close(raw, golden["heatmap_authors_raw"], rtol=1e-5, atol=1e-4)


def test_the_position_of_a_concept_counts(golden, heard):
    """So that the tests above can fail."""
    model = tiny.flux2(heads=2, depth=golden["depth"], single=golden["single"], seed=golden["seed"], guidance=True)
    concepts = Concepts(("a", "b", "c"), 3, "mistral3", golden["concepts"][0], torch.eye(3), positions=torch.zeros(3, dtype=torch.int64))
    patched, recording = record_concepts(model, concepts)
    with torch.no_grad():
        _, samples = call_at(patched, conditioning(golden["context"], None, guidance=golden["guidance"]), [golden["x"]] * 2, SIGMAS)
    maps = decode(recording, samples, blocks="all", order="softmax first", temperature=1e-3).values
    assert (maps - golden["map_out_softmax"]).abs().max() > 0.01
