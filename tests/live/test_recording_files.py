"""A recording saved from one queue and decoded in another."""

import pytest
import torch
from comfy_client import WorkflowError
from prompts import nodes, only, saved_maps
from recipes import in_python


@pytest.fixture(scope="module")
def saved(live):
    """(workflow, its maps, name of the recording's file as the load node lists it)"""
    prompt = live.workflow("03 Heatmaps (demo)")
    prompt[only(prompt, "ConceptAttentionApply")]["inputs"]["keep_vectors"] = "auto"
    decode = only(prompt, "ConceptAttentionDecode")
    inputs = {key: prompt[decode]["inputs"][key] for key in ("recording", "samples")}
    prompt["save"] = {"class_type": "ConceptAttentionSaveRecording", "inputs": inputs | {"filename_prefix": "recordings/r"}}
    result = live.queue(prompt)
    (text,) = result.outputs["save"]["text"]
    return prompt, saved_maps(live, result, prompt), text.replace("\\", "/") + " [output]"


def loading(prompt, file):
    decode = only(prompt, "ConceptAttentionDecode")
    return {
        "load": {"class_type": "ConceptAttentionLoadRecording", "inputs": {"file": file}},
        "decode": {
            "class_type": "ConceptAttentionDecode",
            "inputs": prompt[decode]["inputs"] | {"recording": ["load", 0], "samples": ["load", 1]},
        },
        "maps": {"class_type": "ConceptAttentionSaveMaps", "inputs": {"maps": ["decode", 0], "filename_prefix": "from_recording"}},
    }


def test_a_saved_recording_is_decoded_bit_for_bit(live, saved):
    prompt, maps, file = saved
    assert file in live.node_types()["ConceptAttentionLoadRecording"]["input"]["required"]["file"][1]["options"]
    again = loading(prompt, file)
    result = live.queue(again)
    loaded = saved_maps(live, result, again)
    assert torch.equal(loaded.values, maps.values) and loaded.names == maps.names
    again["decode"]["inputs"]["blocks"] = "all"
    changed = live.queue(again)
    assert "load" not in changed.executed and not torch.equal(saved_maps(live, changed, again).values, maps.values)


def test_its_vectors_give_the_same_maps(live, saved):
    """As Decode does with all steps."""
    prompt, _, file = saved
    decode = loading(prompt, file)
    decode["decode"]["inputs"]["steps"] = "all"
    maps = saved_maps(live, live.queue(decode), decode)
    again = in_python("concept_vectors", live.output / file.removesuffix(" [output]"))
    torch.testing.assert_close(again, maps.values, atol=2e-3, rtol=0)


def test_files_that_are_none(live, saved):
    prompt, _, file = saved
    maps = live.output / live.queue(prompt | {"1000": prompt[nodes(prompt, "ConceptAttentionSaveMaps")[0]]}).outputs["1000"]["text"][0]
    for wrong, message in (
        ("missing.safetensors", "There is no missing.safetensors"),
        (maps.relative_to(live.output).as_posix() + " [output]", "holds no recording"),
    ):
        with pytest.raises(WorkflowError, match=message):
            live.queue(loading(prompt, wrong))
