"""The demo workflows on a live server: what is saved, what runs again and what does not."""

import asyncio
import copy
import json

import numpy as np
import pytest
import torch
from comfy_client import WorkflowError
from concept_attention.concept_core.storage.files import load_maps
from PIL import Image
from prompts import nodes, only, saved, saved_maps, up_to


@pytest.fixture(scope="module")
def demo(live):
    """In few steps: a picture is there, but not yet good."""
    prompt = live.workflow("03 Heatmaps (demo)")
    prompt[only(prompt, "KSampler")]["inputs"]["steps"] = 4
    return prompt


@pytest.fixture(scope="module")
def first_run(live, demo):
    return live.queue(demo)


CONCEPTS = {
    "03 Heatmaps (demo)": ("circle", "square", "star", "grass"),
    "04 Heatmaps with SD3 (demo)": ("heart", "square", "circle", "snow"),
}


@pytest.fixture(scope="module", params=CONCEPTS)
def either(request, live):
    """(workflow's name, its API format, what its first run gave) for each family."""
    prompt = live.workflow(request.param)
    return request.param, prompt, live.queue(prompt)


def test_the_demo_leaves_pictures_heatmaps_overlays_and_maps(live, either):
    name, prompt, result = either
    pictures = {node: saved(live, result, prompt, node) for node in nodes(prompt, "SaveImage")}
    assert sorted(len(p) for p in pictures.values()) == [1, 4, 4]
    assert all(p.shape == (256, 256, 3) and p.std() > 5 for group in pictures.values() for p in group)
    maps = saved_maps(live, result, prompt)
    assert maps.values.shape == (1, 4, 16, 16) and maps.names == CONCEPTS[name]
    torch.testing.assert_close(maps.values.sum(1), torch.ones(1, 16, 16))


def test_a_batch_with_a_negative_prompt(live, either):
    _, prompt, _ = either
    batch = copy.deepcopy(prompt)
    batch[only(batch, "EmptySD3LatentImage")]["inputs"]["batch_size"] = 3
    batch[only(batch, "KSampler")]["inputs"]["steps"] = 6
    batch[batch[only(batch, "KSampler")]["inputs"]["negative"][0]]["inputs"]["text"] = "a black star"
    maps = saved_maps(live, live.queue(batch), batch)
    assert maps.values.shape == (3, 4, 16, 16)
    differences = [(maps.values[i] - maps.values[j]).abs().max() for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(differences) > 0.1


def test_a_second_queue_runs_nothing(live, demo, first_run):
    assert live.queue(demo).executed == []


def test_changing_decode_or_heatmap_samples_and_encodes_nothing_again(live, demo, first_run):
    for class_type, setting in [
        ("ConceptAttentionDecode", {"temperature": 30.0}),
        ("ConceptAttentionDecode", {"blocks": "all", "end_percent": 0.5}),
        ("ConceptAttentionHeatmap", {"colormap": "viridis"}),
    ]:
        changed = copy.deepcopy(demo)
        for node in nodes(demo, class_type):
            changed[node]["inputs"] |= setting
        ran = {changed[node]["class_type"] for node in live.queue(changed).executed}
        assert class_type in ran
        assert ran <= {"ConceptAttentionDecode", "ConceptAttentionHeatmap", "ConceptAttentionSaveMaps", "SaveImage"}


def test_another_seed_gives_that_seeds_maps(live, demo, first_run):
    seed = {seed: with_seed(demo, seed) for seed in (101, 102)}
    maps = {s: saved_maps(live, live.queue(prompt), prompt).values for s, prompt in seed.items()}
    first = saved_maps(live, first_run, demo).values
    assert not torch.equal(maps[101], maps[102]) and not torch.equal(maps[101], first)
    again = with_seed(demo, 101)
    again[only(again, "ConceptAttentionSaveMaps")]["inputs"]["filename_prefix"] = "again"
    assert torch.equal(saved_maps(live, live.queue(again), again).values, maps[101])


def test_two_samplers_on_one_apply_node_are_decoded_each_to_its_own(live, demo, first_run):
    """In one graph, the second with another schedule on its branch of the model; then each in a graph of its own."""
    both, (ks, decode, save) = copy.deepcopy(demo), (only(demo, name) for name in SAMPLE_DECODE_SAVE)
    shift = {"max_shift": 3.0, "base_shift": 2.0, "width": 256, "height": 256, "model": demo[ks]["inputs"]["model"]}
    both[ks]["inputs"]["seed"] = 104
    both["shift"] = {"class_type": "ModelSamplingFlux", "inputs": shift}
    both["sampler"] = {"class_type": "KSampler", "inputs": demo[ks]["inputs"] | {"seed": 103, "model": ["shift", 0]}}
    both["decode"] = {"class_type": "ConceptAttentionDecode", "inputs": demo[decode]["inputs"] | {"samples": ["sampler", 0]}}
    both["save"] = {"class_type": "ConceptAttentionSaveMaps", "inputs": {"maps": ["decode", 0], "filename_prefix": "second"}}
    together = maps_of(live, live.queue(both), save, "save")
    again = copy.deepcopy(both)
    for node in (ks, "sampler"):
        again[node]["inputs"]["denoise"] = 1.0 - 1e-9  # the same sampling, but not the cached one
    first = {node: content for node, content in again.items() if node not in ("shift", "sampler", "decode", "save")}
    second = {node: again[node] for node in again if again[node]["class_type"] not in DRAWING and node not in (ks, decode, save)}
    apart = maps_of(live, live.queue(first), save) + maps_of(live, live.queue(second), "save")
    assert all(torch.equal(one, other) for one, other in zip(together, apart))
    assert not torch.equal(together[0], together[1])


def test_a_node_that_samples_many_times_in_one_queue_is_decoded_as_often(live, demo):
    """A batch taken apart, so that sampler, Decode and Save run once for each picture; then Decode alone, on what is cached."""
    apart, (ks, decode, save) = copy.deepcopy(demo), (only(demo, name) for name in SAMPLE_DECODE_SAVE)
    count = 11
    apart[only(apart, "EmptySD3LatentImage")]["inputs"] |= {"batch_size": count, "width": 128, "height": 96}
    apart["apart"] = {"class_type": "RebatchLatents", "inputs": {"latents": apart[ks]["inputs"]["latent_image"], "batch_size": 1}}
    apart[ks]["inputs"] |= {"latent_image": ["apart", 0], "steps": 2}
    apart = up_to(apart, save)
    warmer = copy.deepcopy(apart)
    warmer[decode]["inputs"]["temperature"] = 30.0
    for prompt in (apart, warmer):
        result = live.queue(prompt)
        maps = [load_maps(live.output / file).values for file in result.outputs[save]["text"]]
        assert len(maps) == count and not any(torch.equal(maps[0], other) for other in maps[1:])
    assert ks not in result.executed


SAMPLE_DECODE_SAVE = ("KSampler", "ConceptAttentionDecode", "ConceptAttentionSaveMaps")
DRAWING = ("SaveImage", "VAEDecode", "ConceptAttentionHeatmap")


def maps_of(live, result, *saved_by):
    return [load_maps(live.output / result.outputs[node]["text"][0]).values for node in saved_by]


def with_seed(prompt, seed):
    prompt = copy.deepcopy(prompt)
    prompt[only(prompt, "KSampler")]["inputs"]["seed"] = seed
    return prompt


def test_the_picture_is_the_same_without_the_nodes(live, either):
    _, prompt, result = either
    plain = copy.deepcopy(prompt)
    plain[only(plain, "KSampler")]["inputs"]["model"] = plain[only(plain, "ConceptAttentionApply")]["inputs"]["model"]
    for node, content in prompt.items():
        from_heatmap = prompt[content["inputs"].get("images", [node])[0]]["class_type"] == "ConceptAttentionHeatmap"
        if from_heatmap or content["class_type"].startswith("ConceptAttention") and "Demo" not in content["class_type"]:
            del plain[node]
    (node,) = nodes(plain, "SaveImage")
    plain[node]["inputs"]["filename_prefix"] = "plain"
    assert np.array_equal(saved(live, live.queue(plain), plain, node)[0], saved(live, result, prompt, node)[0])


def test_after_an_interrupt_the_next_queue_is_right(live, demo, first_run):
    long = with_seed(demo, 5)
    long[only(long, "KSampler")]["inputs"]["steps"] = 500

    async def interrupted(client):
        interrupts = []

        def progress(node, value, total):
            if value >= 3 and not interrupts:
                interrupts.append(asyncio.ensure_future(client.interrupt()))

        await client.queue(long, progress)

    with pytest.raises(WorkflowError, match="interrupted"):
        live.do(interrupted)
    again = copy.deepcopy(demo)
    again[only(again, "KSampler")]["inputs"]["denoise"] = 1.0 - 1e-9  # the same sampling, but not the cached one
    assert torch.equal(saved_maps(live, live.queue(again), again).values, saved_maps(live, first_run, demo).values)


def test_saved_maps_are_loaded_bit_for_bit(live, demo, first_run):
    file = first_run.outputs[only(demo, "ConceptAttentionSaveMaps")]["text"][0].replace("\\", "/") + " [output]"
    assert file in live.node_types()["ConceptAttentionLoadMaps"]["input"]["required"]["file"][1]["options"]
    result = live.queue(load_and_save(file))
    copied = load_maps(live.output / result.outputs["2"]["text"][0])
    assert torch.equal(copied.values, saved_maps(live, first_run, demo).values) and copied.names == ("circle", "square", "star", "grass")


def load_and_save(file, prefix="copy"):
    return {
        "1": {"class_type": "ConceptAttentionLoadMaps", "inputs": {"file": file}},
        "2": {"class_type": "ConceptAttentionSaveMaps", "inputs": {"maps": ["1", 0], "filename_prefix": prefix}},
    }


def test_maps_files_that_cannot_be_loaded(live, demo, first_run):
    whole = (live.output / first_run.outputs[only(demo, "ConceptAttentionSaveMaps")]["text"][0]).read_bytes()
    (live.output / "cut.safetensors").write_bytes(whole[:-100])
    (live.output / "text.safetensors").write_bytes(b"no safetensors")
    (live.base / "outside.safetensors").write_bytes(whole)
    for file, message in [
        ("cut.safetensors [output]", "cut.safetensors cannot be read"),
        ("text.safetensors [output]", "text.safetensors cannot be read"),
        ("../outside.safetensors [output]", "lies outside the output folder"),
        (str(live.base / "outside.safetensors"), "lies outside the input folder"),
        ("missing.safetensors", "There is no missing.safetensors"),
    ]:
        with pytest.raises(WorkflowError, match=message):
            live.queue(load_and_save(file))


def test_maps_are_not_saved_outside_the_output_folder(live, demo, first_run):
    changed = copy.deepcopy(demo)
    changed[only(changed, "ConceptAttentionSaveMaps")]["inputs"]["filename_prefix"] = "../../escaped"
    with pytest.raises(WorkflowError, match="outside the output folder"):
        live.queue(changed)


@pytest.mark.parametrize(
    ("class_type", "setting", "message"),
    [
        ("ConceptAttentionDecode", {"blocks": "19-25"}, "not within this model's blocks, 0-5"),
        ("ConceptAttentionDecode", {"space": "value"}, "value space was not recorded"),
        ("ConceptAttentionDecode", {"temperature": 0.0}, "smaller than min"),
        ("ConceptAttentionHeatmap", {"colormap": "jet"}, "jet"),
    ],
)
def test_bad_settings_are_said_where_they_are(live, demo, first_run, class_type, setting, message):
    changed = copy.deepcopy(demo)
    changed[nodes(changed, class_type)[0]]["inputs"] |= setting
    with pytest.raises(WorkflowError, match=message):
        live.queue(changed)


@pytest.mark.parametrize(
    ("class_type", "setting", "message"),
    [
        ("ConceptAttentionEncodeConcepts", {"concepts": " , "}, "No concepts: name at least one"),
        ("ConceptAttentionEncodeConcepts", {"concepts": "star, *"}, "A concept cannot be called"),
        ("ConceptAttentionApply", {"start_percent": 0.5, "end_percent": 0.5}, "must be below end_percent"),
        ("ConceptAttentionApply", {"start_percent": -0.5}, "start_percent must lie in 0..1"),
        ("ConceptAttentionApply", {"keep_vectors": "5-3"}, 'keep_vectors: "5-3" ends before it starts'),
        ("ConceptAttentionDecode", {"blocks": "abc"}, "Write auto, all, or numbers"),
        ("ConceptAttentionDecode", {"blocks": ""}, "Write auto, all, or numbers"),
        ("ConceptAttentionDecode", {"start_percent": 0.9, "end_percent": 0.1}, "must be below end_percent"),
    ],
)
def test_bad_settings_are_said_before_anything_runs(live, demo, class_type, setting, message):
    changed = copy.deepcopy(demo)
    changed[nodes(changed, class_type)[0]]["inputs"] |= setting
    with pytest.raises(WorkflowError, match=f"{class_type}: Custom validation failed for node: .*{message}"):
        live.queue(changed)


def test_a_linked_text_is_checked_when_it_is_there(live, demo):
    changed = copy.deepcopy(demo)
    for node, name in (("ConceptAttentionEncodeConcepts", "concepts"), ("ConceptAttentionDecode", "blocks")):
        changed["text"] = {"class_type": "PrimitiveString", "inputs": {"value": " , "}}
        changed[only(changed, node)]["inputs"][name] = ["text", 0]
        with pytest.raises(WorkflowError, match=f"^{node}: (No concepts|blocks: cannot read)"):
            live.queue(changed)
        changed = copy.deepcopy(demo)


@pytest.mark.parametrize("prompt", ["", "a red circle and a blue square on grass"])
def test_one_concept_alone_has_the_mask_of_its_thing(live, prompt):
    """The demo's circle, once named among others and once alone."""
    named = live.workflow("03 Heatmaps (demo)")
    maps = {"maps": [only(named, "ConceptAttentionDecode"), 0], "concept": "circle", "method": "winner", "threshold": 0.5}
    shape = {"edge_radius": 0, "grow": 0, "feather": 0.0, "fill_holes": False, "min_area": 0.0, "invert": False}
    named["mask"] = {"class_type": "ConceptAttentionMask", "inputs": maps | shape}
    named["drawn"] = {"class_type": "MaskToImage", "inputs": {"mask": ["mask", 0]}}
    named["saved"] = {"class_type": "SaveImage", "inputs": {"images": ["drawn", 0], "filename_prefix": "mask"}}
    alone = copy.deepcopy(up_to(named, "saved"))
    alone[only(alone, "ConceptAttentionEncodeConcepts")]["inputs"] |= {"concepts": "circle", "prompt": prompt}
    expected, found = (saved(live, live.queue(graph), graph, "saved")[0][..., 0] > 128 for graph in (up_to(named, "saved"), alone))
    assert 0.02 < expected.mean() < 0.3
    assert (expected & found).sum() / (expected | found).sum() > 0.7


def test_a_latent_from_elsewhere(live, demo):
    live.queue(demo)
    changed = copy.deepcopy(demo)
    changed[only(changed, "ConceptAttentionDecode")]["inputs"]["samples"] = [only(changed, "EmptySD3LatentImage"), 0]
    with pytest.raises(WorkflowError, match="do not come from a sampler"):
        live.queue(changed)
    changed = with_seed(demo, 7)
    changed[only(changed, "KSampler")]["inputs"]["model"] = [only(changed, "ConceptAttentionDemoModel"), 0]
    changed[only(changed, "ConceptAttentionEncodeConcepts")]["inputs"]["concepts"] = "heart, brick"
    with pytest.raises(WorkflowError, match="Nothing is recorded yet"):
        live.queue(changed)


def test_saved_pictures_carry_the_workflow(live, demo, first_run):
    workflow, prompt = live.workflow_file("03 Heatmaps (demo)"), copy.deepcopy(demo)
    for node in nodes(prompt, "SaveImage"):
        prompt[node]["inputs"]["filename_prefix"] += "_with_workflow"
    result = live.do(lambda client: client.queue(prompt, workflow=workflow))
    for node in nodes(prompt, "SaveImage"):
        for image in result.outputs[node]["images"]:
            assert json.loads(Image.open(live.output / image["subfolder"] / image["filename"]).info["workflow"]) == workflow
