"""Recordings as files: decoded after loading as before."""

import json
import os
import re

import pytest
import torch
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.recording.scores import CROSS_SHARE
from concept_attention.concept_core.storage import files as storage
from concept_attention.concept_core.storage.files import RECORDING, check_recording, load_maps, load_recording, save_recording
from drawn_recording import SPACES, made
from recipes import in_python
from safetensors import safe_open
from safetensors.torch import load as tensors_of
from safetensors.torch import save_file

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
    assert (ours.names, ours.num_shown, ours.softmaxed, ours.image_size) == (
        theirs.names,
        theirs.num_shown,
        theirs.softmaxed,
        theirs.image_size,
    )


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
    recording.runs[0].drop("memory ran out")
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
        for metadata in (None, {"format": "pt"}):
            save_file({"scores.output": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=metadata)
            with pytest.raises(ValueError, match="other.safetensors holds no recording"):
                load(tmp_path / "other.safetensors")
    save_file({"scores.output": torch.zeros(1)}, tmp_path / "part.safetensors", metadata={RECORDING: json.dumps({"names": ["a"]})})
    with pytest.raises(ValueError, match="part.safetensors: shown is missing: save it again"):
        load_recording(tmp_path / "part.safetensors")


def rewritten(path, about=None, dropped=(), dropped_tensors=(), **tensors):
    """The file of `made` with other fields and tensors."""
    save_recording(*made(), path)
    with safe_open(path, framework="pt") as file:
        said = json.loads(file.metadata()[RECORDING]) | (about or {})
    kept = {name: tensor for name, tensor in tensors_of(path.read_bytes()).items() if name not in dropped_tensors}
    said = {field: value for field, value in said.items() if field not in dropped}
    save_file(kept | tensors, path, metadata={RECORDING: json.dumps(said)})
    return path


WRONG = [
    ({"about": {"names": ["a", "b", "c", "d"]}}, "scores.output has 3 concepts, where 4 fits the rest"),
    ({"about": {"shown": 4}}, "shown is 4, of 3 names"),
    ({"about": {"depth": 6}}, "scores.output has 5 blocks, where 6 fits the rest"),
    ({"about": {"depth": "5"}}, "depth should be a valid integer"),
    ({"about": {"default_blocks": [3, 6]}}, "default_blocks (3, 6) are not within 5 blocks"),
    ({"about": {"default_blocks": [3, 3]}}, "default_blocks (3, 3) are not within 5 blocks"),
    ({"about": {"default_blocks": [-2, 3]}}, "default_blocks 0 should be greater than or equal to 0"),
    ({"about": {"single_blocks": 1}}, "default_blocks (3, 5) are not within 4 blocks"),
    ({"about": {"kept_blocks": [5]}}, "kept_blocks (5,) are not within 5 blocks"),
    ({"about": {"grid": [3, 2]}}, "grid is (3, 2), where (2, 3) covers the picture"),
    ({"about": {"grid": [1, 6]}}, "grid is (1, 6), where (2, 3) covers the picture"),
    ({"about": {"grid": [0, 6]}}, "should be greater than 0, it is 0"),
    ({"about": {"grid": [3, 2], "image_size": [48, 32]}}, "do not fit a latent of (4, 6)"),
    ({"about": {"grid": [3, 2], "image_size": [48, 32], "size": [6, 4]}}, "samples has 4 latent rows, where 6 fits the rest"),
    ({"about": {"image_size": [33, 48]}}, "image_size 33 x 48 and pixels_per_token 16 do not fit a latent of (4, 6)"),
    ({"about": {"image_size": [1, 1]}}, "do not fit a latent of (4, 6)"),
    ({"about": {"pixels_per_token": 12}}, "do not fit a latent of (4, 6)"),
    ({"about": {"pixels_per_token": 8}}, "grid is (2, 3), where (4, 6) covers the picture"),
    ({"about": {"spaces": ["output", "query"]}}, "'value' or 'prompt words', it is 'query'"),
    ({"about": {"spaces": []}}, "spaces should be at least one"),
    ({"about": {"spaces": ["output", "value"]}}, "scores.cross-attention is not of the spaces ('output', 'value')"),
    ({"about": {"attends_to": ["prompt"]}}, "attends_to 0 should be 'concepts' or 'image'"),
    ({"about": {"normalises_concepts": 0}}, "normalises_concepts should be a valid boolean"),
    ({"about": {"missed": None}}, "missed should be a valid string"),
    ({"dropped": ["encoder"]}, "encoder is missing"),
    ({"dropped_tensors": ["samples"]}, "samples is missing"),
    ({"dropped_tensors": ["scores.value"]}, "scores.value is missing"),
    ({"dropped_tensors": ["scores." + CROSS_SHARE]}, f"scores.{CROSS_SHARE} is missing"),
    ({"scores.query": torch.zeros(4, 5, 3, 3, 6)}, "scores.query is not of the spaces"),
    ({"scores.value": torch.zeros(4, 5, 3, 3, 7)}, "scores.value has 7 tokens, where 6 fits the rest"),
    ({"scores.value": torch.zeros(3, 5, 3, 3, 6)}, "scores.value has 3 steps, where 4 fits the rest"),
    ({"scores.value": torch.zeros(4, 5, 2, 3, 6)}, "scores.value has 2 pictures, where 3 fits the rest"),
    ({"scores.value": torch.zeros(5, 3, 3, 6)}, "scores.value is [5, 3, 3, 6], where [steps, blocks, pictures, concepts, tokens] belongs"),
    ({"scores.value": torch.zeros(4, 5, 3, 3, 6).long()}, "scores.value holds I64, no floats"),
    ({"samples": torch.zeros(2, 16, 4, 6)}, "samples has 2 pictures, where 3 fits the rest"),
    ({"samples": torch.zeros(3, 16, 6, 4)}, "samples has 6 latent rows, where 4 fits the rest"),
    ({"samples": torch.full((3, 16, 4, 6), float("inf"))}, "samples holds NaN or infinity"),
    ({"sigmas": torch.tensor([1.0, 0.8, 0.5])}, "sigmas has 3 steps, where 4 fits the rest"),
    ({"sigmas": torch.tensor([1.0, 0.8, 0.8, 0.1])}, "sigmas do not fall from step to step"),
    ({"sigmas": torch.tensor([0.1, 0.5, 0.8, 1.0])}, "sigmas do not fall from step to step"),
    ({"sigmas": torch.tensor([1.0, 0.8, float("nan"), 0.1])}, "sigmas holds NaN or infinity"),
    ({"schedule": torch.linspace(1, 0, 1000)}, "schedule has 1000 points, where 1001 fits the rest"),
    ({"schedule": torch.linspace(0, 1, 1001)}, "schedule rises"),
    ({"schedule": torch.linspace(1, 0, 1001) / 0}, "schedule holds NaN or infinity"),
    ({"token_share": torch.eye(4)}, "token_share has 4 concepts, where 3 fits the rest"),
    ({"token_share": 2 * torch.eye(3)}, "token_share goes from 0 to 2"),
    ({"token_share": torch.eye(3) / 2}, "shares of token_share do not sum to 1"),
    ({"scores." + CROSS_SHARE: torch.full((4, 5, 3, 3, 6), 1.5)}, f"scores.{CROSS_SHARE} goes from 1.5 to 1.5"),
    ({"image_vectors": torch.zeros(4, 1, 3, 6, 8).half()}, "image_vectors has 1 kept blocks, where 0 fits the rest"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[f"{list(changes)[0]}-{i}" for i, (changes, _) in enumerate(WRONG)])
def test_one_wrong_field(tmp_path, changes, message):
    path = rewritten(tmp_path / "r.safetensors", **changes)
    with pytest.raises(ValueError, match=rf"^r\.safetensors: [^\n]*{re.escape(message)}[^\n]*: save it again\.$"):
        load_recording(path)


def test_shapes_and_metadata_are_checked_without_reading_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.TensorFile, "read", lambda *_: pytest.fail("it reads numbers"))
    with pytest.raises(ValueError, match="where .2, 3. covers the picture"):
        check_recording(rewritten(tmp_path / "r.safetensors", about={"grid": [3, 2]}))
    with pytest.raises(ValueError, match="sigmas has 3 steps"):
        check_recording(rewritten(tmp_path / "r.safetensors", sigmas=torch.tensor([1.0, 0.8, 0.5])))


def test_files_of_earlier_versions(tmp_path):
    """The first ones had neither token_weights nor what came with vectors and ablations."""
    path = rewritten(
        tmp_path / "r.safetensors", dropped=["kept_blocks", "attends_to", "normalises_concepts"], dropped_tensors=["token_share"]
    )
    check_recording(path)
    loaded, samples = load_recording(path)
    assert torch.equal(decode(loaded, samples).values, decode(*made()).values)
    assert not loaded.normalises_concepts and loaded.attends_to == ("concepts", "image") and loaded.kept_blocks == ()


def test_a_later_version_may_say_and_hold_more(tmp_path):
    loaded, samples = load_recording(rewritten(tmp_path / "r.safetensors", about={"more": [1]}, words=torch.zeros(2).long()))
    assert torch.equal(decode(loaded, samples).values, decode(*made()).values)


def test_scores_that_overflowed_load_and_decode_says_so(tmp_path):
    scores = torch.randn(4, 5, 3, 3, 6)
    scores[:, 4] = float("nan")
    loaded, samples = load_recording(rewritten(tmp_path / "r.safetensors", **{"scores.output": scores}))
    with pytest.raises(ValueError, match="The maps hold NaN or infinity: the model's numbers overflowed"):
        decode(loaded, samples)
    assert torch.isfinite(decode(loaded, samples, blocks="0-3").values).all()


def test_large_scores_are_read_a_step_at_a_time_and_vectors_not_at_all(tmp_path, monkeypatch):
    """While they are packed there is no second copy of all of them."""
    vectors = {"concept_vectors": torch.zeros(4, 1, 3, 3, 8), "image_vectors": torch.zeros(4, 1, 3, 6, 8), "vector_sigmas": torch.ones(4)}
    path = rewritten(tmp_path / "r.safetensors", about={"kept_blocks": [4]}, **vectors)
    read, plain = {}, storage.TensorFile.read

    def counted(file, name, row=None):
        tensor = plain(file, name, row)
        read.setdefault(name, []).append(tensor.nbytes)
        return tensor

    monkeypatch.setattr(storage.TensorFile, "read", counted)
    monkeypatch.setattr(storage, "HALF_PRECISION_FROM", 4 * 4 * 5 * 3 * 3 * 6 * 4 - 1)
    loaded, samples = load_recording(path)
    assert {name: sizes for name, sizes in read.items() if name.startswith("scores.")} == {
        f"scores.{space}": [5 * 3 * 3 * 6 * 4] * 4 for space in (*SPACES, CROSS_SHARE)
    }
    assert not read.keys() & vectors.keys()
    assert all(isinstance(step, storage.HalfPrecisionStep) for step in loaded.runs[0].steps.values())
    torch.testing.assert_close(decode(loaded, samples).values, decode(*made()).values, atol=5e-4, rtol=0)


@pytest.mark.parametrize("overwrite", [lambda content: content[:-400], lambda content: content[:-400] + bytes(400)])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, overwrite):
    path = rewritten(tmp_path / "r.safetensors")
    os.utime(path, (0, 0))
    plain = storage.TensorFile.read

    def overwritten_meanwhile(file, name, row=None):
        tensor = plain(file, name, row)
        if name == "sigmas":
            path.write_bytes(overwrite(path.read_bytes()))
        return tensor

    monkeypatch.setattr(storage.TensorFile, "read", overwritten_meanwhile)
    with pytest.raises(ValueError, match="r.safetensors was changed while it was read: queue again"):
        load_recording(path)
