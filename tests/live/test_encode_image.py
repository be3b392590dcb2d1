"""The workflow that asks where things are in a given picture, judged by the picture's true areas."""

import copy

import numpy as np
import pytest
import torch
from comfy_client import WorkflowError
from concept_attention.evaluation.datasets import Sample, Scenes
from concept_attention.evaluation.judging import Judge
from concept_attention.evaluation.models import Files, load
from concept_attention.evaluation.presets import protocol_named
from PIL import Image
from prompts import only, pictures, saved_maps
from scenes import draw_scene

SCENE = 900_000_815  # of the demo picture


@pytest.fixture(scope="module")
def workflow(live):
    return live.workflow("06 Masks for a photo (demo)")


def test_the_mask_is_the_heart(live, workflow):
    shown = pictures(live, live.queue(workflow), workflow)
    scene = draw_scene(SCENE)
    np.testing.assert_allclose(shown["picture"][0], scene.picture, atol=0.51 / 255)
    heart, mask = scene.area("heart") > 0.5, shown["mask"][0, ..., 0] > 0.5
    assert (heart & mask).sum() / (heart | mask).sum() > 0.97
    assert shown["overlay"].shape == (3, 256, 256, 3)


def test_the_evaluation_has_the_maps_that_the_nodes_have(live, workflow):
    """The demo picture judged with the workflow's own settings, in this process."""
    inputs = {"maps": [only(workflow, "ConceptAttentionDecode"), 0], "filename_prefix": "judged"}
    prompt = copy.deepcopy(workflow) | {"maps": {"class_type": "ConceptAttentionSaveMaps", "inputs": inputs}}
    prompt[only(workflow, "ConceptAttentionDecode")]["inputs"]["steps"] = "all"
    theirs = saved_maps(live, live.queue(prompt), prompt)
    scene = draw_scene(SCENE)
    picture = Image.fromarray((scene.picture * 255).round().astype(np.uint8))
    sample = Sample("demo", picture, np.zeros((256, 256), np.uint8), dict(enumerate(("circle", "star", "heart"))), scene.caption)
    protocol = protocol_named("scenes", {"background": ["sand"], "samples": 2})
    seen = []
    Judge(*load(Files("flux", "demo")), Scenes(1, single=False)).judge(sample, {"": protocol}, lambda name, maps, *more: seen.append(maps))
    assert seen[0].names == theirs.names and seen[0].num_shown == theirs.num_shown
    torch.testing.assert_close(seen[0].values, theirs.values, atol=1e-6, rtol=0)


def test_what_is_encoded_again_and_what_is_not(live, workflow):
    live.queue(workflow)
    assert live.queue(workflow).executed == []
    encode, decode, vae = (only(workflow, name) for name in ("ConceptAttentionEncodeImage", "ConceptAttentionDecode", "VAEEncode"))
    changed = copy.deepcopy(workflow)
    changed[decode]["inputs"]["blocks"] = "all"
    ran = live.queue(changed).executed
    assert decode in ran and encode not in ran
    changed[encode]["inputs"]["noise"] = 0.1
    ran = live.queue(changed).executed
    assert encode in ran and decode in ran and vae not in ran


@pytest.mark.parametrize(
    ("node", "change", "message"),
    [
        ("ConceptAttentionDemoModel", {"family": "sd3"}, None),
        ("ConceptAttentionEncodeImage", {"noise": 2.0}, "bigger than max"),
        ("ConceptAttentionEncodeImage", {"latent": ["empty", 0]}, "whose latents have 16 channels"),
        ("ConceptAttentionDecode", {"samples": ["other", 0]}, "do not come from a sampler"),
    ],
)
def test_other_inputs(live, workflow, node, change, message):
    changed = copy.deepcopy(workflow)
    changed["empty"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 1}}
    changed["other"] = {"class_type": "EmptySD3LatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 1}}
    changed[only(workflow, node)]["inputs"] |= change
    if message is None:
        assert pictures(live, live.queue(changed), changed)["mask"].mean() > 0.02
        return
    with pytest.raises(WorkflowError, match=message):
        live.queue(changed)
