"""Agreement with the authors' own implementation for CogVideoX, through ComfyUI's loader, guider and network.

Their concept stream has 226 tokens, of which all that are no concept are zeros. Ours is the paper's, without them; with them it is theirs.
"""

import math

import pytest
import tiny
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.families.joint import attend
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.sampler import record_concepts
from probe import call_at, conditioning
from reference import reference

LAYERS = 3


@pytest.fixture(scope="module")
def golden():
    return reference("cogvideox")


@pytest.fixture(scope="module")
def model(golden):
    return tiny.cogvideox(depth=golden["layers"], seed=golden["seed"])


def sigmas(model, golden):
    return [float(model.get_model_object("model_sampling").sigmas[timestep]) for timestep in golden["timesteps"]]


def heard(model, golden, concepts, **options):
    """(recording, samples, denoised, concept_out of each call and block) on the golden input."""
    vectors = []
    observe = lambda scores, concept_out, image_out: vectors.append(concept_out)  # noqa: E731
    patched, recording = record_concepts(model, concepts, spaces="all", observe=observe, **options)
    with torch.no_grad():
        positive = conditioning(golden["context"], None)
        denoised, samples = call_at(patched, positive, [golden["x"]] * 2, sigmas(model, golden))
    return recording, samples, denoised, vectors


@pytest.fixture(scope="module")
def plain(model, golden):
    return heard(model, golden, Concepts(("a", "b", "c"), 3, "t5", golden["concepts"][0], torch.eye(3)))


@pytest.fixture(scope="module")
def padded(model, golden):
    """All pads are alike in every block, so that one stands for them, and its key counts as often as there are pads."""
    embeddings = torch.cat([golden["concepts"][0], torch.zeros(1, golden["text"])])
    pads = golden["length"] - 3

    def attend_with_pads(q, k, v, image_k, image_v, attends_to):
        keys, values = torch.cat([k, image_k], 2), torch.cat([v, image_v], 2)
        counts = torch.zeros(keys.shape[2])
        counts[3] = math.log(pads)
        return torch.nn.functional.scaled_dot_product_attention(q, keys, values, counts.expand(4, -1)).transpose(1, 2).flatten(2)

    return heard(model, golden, Concepts(("a", "b", "c", "pad"), 3, "t5", embeddings, torch.eye(4)), attend=attend_with_pads)


def in_order(recording):
    steps = recording.runs[-1].steps
    return [steps[sigma] for sigma in sorted(steps, reverse=True)]


def test_the_model_is_the_same(model, golden, plain):
    for step, (denoised, sigma) in enumerate(zip(plain[2], sigmas(model, golden))):
        scale = (sigma**2 + 1) ** 0.5
        velocity = (golden["x"] / scale - denoised) * scale / sigma
        torch.testing.assert_close(velocity, golden[f"velocity_{step}"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("way", ["", "_padded"])
def test_concept_outputs_and_scores(golden, plain, padded, way):
    recording, _, _, vectors = padded if way else plain
    for step, scores in enumerate(in_order(recording)):
        for block in range(LAYERS):
            expected = golden[f"concept_out{way}_{step}_{block}"]
            torch.testing.assert_close(vectors[LAYERS * step + block], expected, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(scores["output"][block], golden[f"scores_out{way}_{step}_{block}"], rtol=1e-3, atol=1e-3)


def test_cross_attention_is_query_times_key_with_the_picture_rotated(golden, plain):
    for step, scores in enumerate(in_order(plain[0])):
        for block in range(LAYERS):
            expected = golden[f"scores_cross_{step}_{block}"]
            torch.testing.assert_close(scores["cross-attention"][block], expected, rtol=1e-3, atol=1e-3)


def test_maps(golden, plain):
    """What auto does: all blocks and steps, the softmax first, no temperature."""
    recording, samples = plain[:2]
    expected = golden["map_out_softmax"][0].movedim(0, 1)  # [frames, concepts, rows, columns]
    torch.testing.assert_close(decode(recording, samples, steps="auto").values, expected, rtol=0, atol=1e-4)
    raw = decode(recording, samples, softmax=False).values
    torch.testing.assert_close(raw, golden["map_out_raw"][0].movedim(0, 1), rtol=1e-3, atol=1e-3)


def test_the_authors_heatmap(golden, padded):
    """Their softmax is over all 226, of which three are shown."""
    counts = torch.tensor([0, 0, 0, math.log(golden["length"] - 3)])[:, None]
    steps = [step["output"].add(counts).softmax(2).mean((0, 1)) for step in in_order(padded[0])]
    theirs = (sum(steps) / len(steps))[:3].unflatten(1, padded[0].runs[0].grid)
    torch.testing.assert_close(theirs, golden["heatmap_authors"], rtol=0, atol=1e-6)


def test_attention_to_the_prompt_would_show(model, golden, plain):
    """So that the tests above can fail: what concepts attend to counts."""
    alone = heard(model, golden, plain[0].concepts, attends_to=("image",), attend=attend)
    maps = decode(*alone[:2]).values
    assert (maps - golden["map_out_softmax"][0].movedim(0, 1)).abs().max() > 0.01
