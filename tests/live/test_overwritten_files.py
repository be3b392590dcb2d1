"""A file that is overwritten while a queue still works with what was loaded from it: the server lives, and the numbers stay."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from comfy_client import WorkflowError
from concept_attention.concept_core.storage.files import load_maps, save_maps
from prompts import only, pictures, up_to


def small_workflow(live):
    prompt = live.workflow("03 Heatmaps (demo)")
    prompt[only(prompt, "EmptySD3LatentImage")]["inputs"] |= {"width": 128, "height": 128}
    prompt[only(prompt, "KSampler")]["inputs"]["steps"] = 8
    return prompt


@pytest.fixture(scope="module")
def maps_file(live):
    prompt = small_workflow(live)
    save = only(prompt, "ConceptAttentionSaveMaps")
    return live.output / live.queue(up_to(prompt, save)).outputs[save]["text"][0]


def loaded_around_a_sampling(live, file):
    """The maps of a file before a sampling, as its noise mask, and after it, as heatmaps over its picture."""
    prompt = small_workflow(live)
    sampler, decoder = only(prompt, "KSampler"), only(prompt, "VAEDecode")
    prompt = up_to(prompt, decoder)
    latent = prompt[sampler]["inputs"]["latent_image"]
    prompt[sampler]["inputs"] |= {"latent_image": ["masked", 0], "model": [only(prompt, "ConceptAttentionDemoModel"), 0]}
    heatmap = {"image": [decoder, 0], "colormap": "plasma", "scale": "all concepts together", "opacity": 1.0, "labels": True}
    mask = {"concept": "circle", "method": "soft", "threshold": 0.5, "edge_radius": 0, "grow": 0, "feather": 0.0}
    mask |= {"fill_holes": False, "min_area": 0.0, "invert": False}
    return {
        **prompt,
        "load": {"class_type": "ConceptAttentionLoadMaps", "inputs": {"file": file}},
        "mask": {"class_type": "ConceptAttentionMask", "inputs": {"maps": ["load", 0]} | mask},
        "masked": {"class_type": "SetLatentNoiseMask", "inputs": {"samples": latent, "mask": ["mask", 0]}},
        "heatmap": {"class_type": "ConceptAttentionHeatmap", "inputs": {"maps": ["load", 0]} | heatmap},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["heatmap", 0], "filename_prefix": "overwritten/heatmap"}},
    }


def test_overwritten_in_mid_queue(live, maps_file):
    undisturbed = loaded_around_a_sampling(live, maps_file.relative_to(live.output).as_posix() + " [output]")
    expected = pictures(live, live.queue(undisturbed), undisturbed)["heatmap"]
    for name, content in (("shorter", b""), ("zeros", bytes(maps_file.stat().st_size))):
        path = live.base / "input" / f"{name}.safetensors"
        shutil.copy(maps_file, path)
        prompt = loaded_around_a_sampling(live, path.name)
        steps = []

        def overwrite(node, value, total):
            if node == only(prompt, "KSampler") and value == 1:
                steps.append(total)
                path.write_bytes(content)

        result = live.do(lambda client: client.queue(copy.deepcopy(prompt), overwrite))
        assert steps == [8] and result.executed.index("load") < result.executed.index(only(prompt, "KSampler"))
        assert np.array_equal(pictures(live, result, prompt)["heatmap"], expected)
        with pytest.raises(WorkflowError, match=f"{name}.safetensors cannot be read"):
            live.queue(prompt)


def test_other_numbers_of_the_same_size_and_time_are_loaded(live, maps_file):
    """As a copy that keeps times brings them."""
    path = live.base / "input" / "changed.safetensors"
    shutil.copy2(maps_file, path)
    prompt = loaded_around_a_sampling(live, path.name)
    first = pictures(live, live.queue(prompt), prompt)["heatmap"]
    shutil.copy2(maps_file, path)
    assert "load" not in live.queue(prompt).executed
    before, maps = path.stat(), load_maps(maps_file)
    save_maps(replace(maps, values=maps.values.flip(3)), path)
    shutil.copystat(maps_file, path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    result = live.queue(prompt)
    assert "load" in result.executed and not np.array_equal(pictures(live, result, prompt)["heatmap"], first)


def test_a_name_that_is_connected(live, maps_file):
    """By a switch, whose output goes into any input: what is wrong with the file is said when the node runs."""
    file = maps_file.relative_to(live.output).as_posix() + " [output]"
    names = {"choice": file}
    prompt = {
        "name": {"class_type": "CustomCombo", "inputs": names},
        "chosen": {"class_type": "ComfySwitchNode", "inputs": {"switch": True, "on_false": ["name", 0], "on_true": ["name", 0]}},
        "load": {"class_type": "ConceptAttentionLoadMaps", "inputs": {"file": ["chosen", 0]}},
        "save": {"class_type": "ConceptAttentionSaveMaps", "inputs": {"maps": ["load", 0], "filename_prefix": "connected"}},
    }
    again = load_maps(live.output / live.queue(prompt).outputs["save"]["text"][0])
    assert torch.equal(again.values, load_maps(maps_file).values)
    names["choice"] = "missing.safetensors"
    with pytest.raises(WorkflowError, match="There is no missing.safetensors"):
        live.queue(prompt)
