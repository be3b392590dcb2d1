"""Recordings as files: decoded after loading as before."""

import json

import pytest
import torch
from concept_attention.concept_core.concepts import Concepts
from concept_attention.concept_core.maps import decode
from concept_attention.concept_core.recording import Recording, Run
from concept_attention.concept_core.scores import CROSS_SHARE
from concept_attention.concept_core.storage import RECORDING, check_recording, load_maps, load_recording, save_recording
from recipes import in_python
from safetensors import safe_open
from safetensors.torch import save_file

SPACES = ("output", "cross-attention", "value")


def made(batch=3):
    """(recording, samples) of 4 steps, 5 blocks and a grid of 2 x 3."""
    generator = torch.Generator().manual_seed(0)
    concepts = Concepts(("dragon", "rock, wet", "空"), 2, "t5", torch.zeros(3, 8), torch.eye(3))
    run = Run(batch, (4, 6), (2, 3), (32, 48), lambda percent: 1 - percent**2)
    for sigma in (1.0, 0.8, 0.5, 0.1):
        scores = {space: torch.randn(5, batch, 3, 6, generator=generator) for space in (*SPACES, CROSS_SHARE)}
        run.add(torch.tensor(sigma), scores | {CROSS_SHARE: scores[CROSS_SHARE].softmax(2)})
    run.settle()
    samples = torch.randn(batch, 16, 4, 6, generator=generator)
    run.latents.append(samples)
    return Recording(concepts, SPACES, 5, range(3, 5), 16, [run]), samples


CHOICES = [
    {},
    {"blocks": "all", "temperature": 3.0},
    {"blocks": "0,2", "softmax": False},
    {"start_percent": 0.45, "end_percent": 0.9},
    {"space": "cross-attention"},
    {"space": "value", "end_percent": 0.5},
]


@pytest.mark.parametrize("choices", CHOICES)
def test_a_loaded_recording_decodes_as_the_one_that_was_saved(tmp_path, choices):
    recording, samples = made()
    save_recording(recording, samples, tmp_path / "r.safetensors")
    loaded, again = load_recording(tmp_path / "r.safetensors")
    assert torch.equal(again, samples)
    ours, theirs = decode(loaded, again, **choices), decode(recording, samples, **choices)
    assert torch.equal(ours.values, theirs.values)
    assert (ours.names, ours.shown, ours.shares, ours.image_size) == (theirs.names, theirs.shown, theirs.shares, theirs.image_size)


def test_the_pictures_given_are_saved_in_their_order(tmp_path):
    recording, samples = made()
    some = samples[[2, 0]]
    save_recording(recording, some, tmp_path / "r.safetensors")
    loaded, again = load_recording(tmp_path / "r.safetensors")
    assert torch.equal(decode(loaded, again).values, decode(recording, samples).values[[2, 0]])


def test_the_file_says_what_is_in_it(tmp_path):
    recording, samples = made()
    save_recording(recording, samples, tmp_path / "r.safetensors")
    with safe_open(tmp_path / "r.safetensors", framework="pt") as file:
        assert file.get_tensor("scores.output").shape == (4, 5, 3, 3, 6)
        assert file.get_tensor("sigmas").tolist() == pytest.approx([1.0, 0.8, 0.5, 0.1])
        about = json.loads(file.metadata()[RECORDING])
    assert about["names"] == ["dragon", "rock, wet", "空"] and about["grid"] == [2, 3] and about["default_blocks"] == [3, 5]


def test_the_readmes_recipe(tmp_path):
    recording, samples = made()
    save_recording(recording, samples, tmp_path / "r.safetensors")
    torch.testing.assert_close(in_python("scores.output", tmp_path / "r.safetensors"), decode(recording, samples).values)


def test_nothing_to_save(tmp_path):
    recording, samples = made()
    with pytest.raises(ValueError, match="do not come from a sampler"):
        save_recording(recording, samples + 1, tmp_path / "r.safetensors")
    recording.runs[0].give_up("memory ran out")
    with pytest.raises(ValueError, match="has no scores: memory ran out"):
        save_recording(recording, samples, tmp_path / "r.safetensors")


def test_files_that_hold_no_recording(tmp_path):
    recording, samples = made()
    whole = tmp_path / "r.safetensors"
    save_recording(recording, samples, whole)
    with pytest.raises(ValueError, match="r.safetensors holds no concept maps"):
        load_maps(whole)
    check_recording(whole)
    for load in (load_recording, check_recording):
        (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-40])
        with pytest.raises(ValueError, match="cut.safetensors cannot be read"):
            load(tmp_path / "cut.safetensors")
        for metadata in (None, {"format": "pt"}, {RECORDING: "{"}, {RECORDING: "{}"}):
            save_file({"scores.output": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=metadata)
            with pytest.raises(ValueError, match="other.safetensors holds no recording"):
                load(tmp_path / "other.safetensors")
    save_file({"scores.output": torch.zeros(1)}, tmp_path / "part.safetensors", metadata={RECORDING: json.dumps({"names": ["a"]})})
    with pytest.raises(ValueError, match="part.safetensors lacks a part"):
        load_recording(tmp_path / "part.safetensors")
