"""The output vectors themselves: kept as they are, saved, and enough to compute the maps again."""

import json
import logging

import pytest
import torch
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record import forward_pass as calls
from concept_attention.concept_core.record import memory
from concept_attention.concept_core.record.encode_image import encode_image
from concept_attention.concept_core.recording import recording
from concept_attention.concept_core.storage import files as storage
from concept_attention.concept_core.storage.files import load_recording, save_recording
from recipes import in_python
from safetensors import safe_open

pytestmark = pytest.mark.long  # asks nothing of ComfyUI that changes with its version

BOTH = {"flux": 3, "sd3": 2}  # blocks of the tiny models that have a concept output


def recipe(path):
    """Maps of the kept blocks from nothing but the file."""
    return in_python("concept_vectors", path)


@pytest.mark.parametrize("kept", ["all", "1"])
@pytest.mark.parametrize(("batch", "cfg"), [(1, 1.0), (2, 4.5)])
def test_the_maps_follow_from_the_vectors(kind, tmp_path, kept, batch, cfg):
    patched, heard = kind.record(keep_vectors=kept)
    samples = kind.sample(patched, batch=batch, cfg=cfg)
    assert torch.equal(samples, kind.sample(batch=batch, cfg=cfg))
    save_recording(heard, samples, tmp_path / "r.safetensors")
    torch.testing.assert_close(recipe(tmp_path / "r.safetensors"), decode(heard, samples, blocks=kept).values, atol=2e-3, rtol=0)
    with safe_open(tmp_path / "r.safetensors", "pt") as file:
        blocks = BOTH[kind.name] if kept == "all" else 1
        assert file.get_tensor("concept_vectors").shape[:4] == (4, blocks, batch, 4)
        assert file.get_tensor("image_vectors").shape[:4] == (4, blocks, batch, 24)
        assert file.get_tensor("image_vectors").dtype == torch.float16
        assert file.get_tensor("vector_sigmas").tolist() == file.get_tensor("sigmas").tolist()
        assert json.loads(file.metadata()[storage.RECORDING])["kept_blocks"] == (list(range(blocks)) if kept == "all" else [1])


def test_of_some_pictures(kind, tmp_path):
    patched, heard = kind.record(keep_vectors="0-1")
    samples = kind.sample(patched, batch=3)
    save_recording(heard, samples[[2, 0]], tmp_path / "r.safetensors")
    maps = decode(heard, samples, blocks="0-1").values[[2, 0]]
    torch.testing.assert_close(recipe(tmp_path / "r.safetensors"), maps, atol=2e-3, rtol=0)


def test_a_loaded_recording_leaves_them_in_the_file(kind, tmp_path):
    patched, heard = kind.record(keep_vectors="all")
    samples = kind.sample(patched)
    save_recording(heard, samples, tmp_path / "r.safetensors")
    loaded, again = load_recording(tmp_path / "r.safetensors")
    assert torch.equal(decode(loaded, again).values, decode(heard, samples).values) and not loaded.runs[0].vectors
    with pytest.raises(ValueError, match="in the file that it was loaded from"):
        save_recording(loaded, again, tmp_path / "again.safetensors")


def test_of_a_picture(kind, tmp_path):
    latent = torch.randn(1, 16, 9, 7, generator=torch.Generator().manual_seed(5))
    heard = encode_image(kind.model, kind.concepts, kind.prompts[0], latent, samples=2, keep_vectors="all")
    save_recording(heard, latent, tmp_path / "r.safetensors")
    torch.testing.assert_close(recipe(tmp_path / "r.safetensors"), decode(heard, latent, blocks="all").values, atol=2e-3, rtol=0)


def test_samplers_that_call_twice_at_a_sigma_keep_both(kind):
    patched, heard = kind.record(keep_vectors="0")
    kind.sample(patched, sampler="heun", steps=3)
    (run,) = heard.runs
    sigmas = [vectors.sigma for vectors in run.vectors]
    assert len(sigmas) == 5 and len(run.steps) == 3 and set(sigmas) == set(run.steps)


def test_the_size_is_told_beforehand_and_right(kind, caplog):
    patched, heard = kind.record(keep_vectors="0,1")
    with caplog.at_level(logging.INFO):
        kind.sample(patched, batch=2)
    width = heard.runs[0].vectors[0].image.shape[-1]
    assert sum(vectors.nbytes for vectors in heard.runs[0].vectors) == 4 * 2 * 2 * (24 + 4) * width * 2
    assert f"keeps about {4 * 2 * 2 * 28 * width * 2 / 1e9:.2f} GB of vectors" in caplog.text


def test_too_little_memory_is_said_before_sampling(kind, monkeypatch):
    patched, heard = kind.record(keep_vectors="all")
    monkeypatch.setattr(memory, "free_on_host", lambda: 1000)
    with pytest.raises(ValueError, match="keep_vectors needs about .* fewer blocks"):
        kind.sample(patched)
    assert heard.runs == []
    monkeypatch.undo()
    samples = kind.sample(patched)
    assert len(heard.runs) == 1 and torch.equal(samples, kind.sample())


def test_memory_that_runs_short_meanwhile_costs_the_vectors_only(kind, monkeypatch, tmp_path):
    patched, heard = kind.record(keep_vectors="all")
    free = iter([10**9, 10**9])
    monkeypatch.setattr(calls, "free_on_host", lambda: next(free, 0))
    samples = kind.sample(patched)
    assert torch.equal(samples, kind.sample()) and not heard.runs[0].vectors and len(heard.runs[0].steps) == 4
    with pytest.raises(ValueError, match="vectors are gone: RAM ran short"):
        save_recording(heard, samples, tmp_path / "r.safetensors")


def test_older_vectors_make_room(kind, monkeypatch, tmp_path):
    """Where memory is short, and beyond a bound; what is lost is said by Save, and the scores are still there."""
    patched, heard = kind.record(keep_vectors="all")
    first = kind.sample(patched, seed=1)
    size = heard.runs[0].vector_nbytes
    monkeypatch.setattr(memory, "free_on_host", lambda: 0 if heard.runs[0].vectors else 2 * size)
    second = kind.sample(patched, seed=2)
    assert not heard.runs[0].vectors and len(heard.runs[1].vectors) == 4
    monkeypatch.undo()
    monkeypatch.setattr(recording, "MAX_VECTOR_BYTES", size)
    kind.sample(patched, seed=3)
    assert [len(run.vectors) for run in heard.runs] == [0, 0, 4]
    for samples in (first, second):
        assert torch.isfinite(decode(heard, samples).values).all()
        with pytest.raises(ValueError, match="vectors are gone: they made room"):
            save_recording(heard, samples, tmp_path / "r.safetensors")


def test_steps_without_a_prompt_have_no_vectors(kind):
    """As ConditioningSetTimestepRange leaves them."""
    ((context, options),) = kind.prompts[0]
    patched, heard = kind.record(keep_vectors="0")
    kind.sample(patched, positive=[[context, options | {"start_percent": 0.0, "end_percent": 0.5}]])
    (run,) = heard.runs
    assert 0 < len(run.vectors) == len(run.steps) < 4


def test_several_prompts_are_refused(kind):
    patched, heard = kind.record(keep_vectors="0")
    with pytest.raises(ValueError, match="keep_vectors is for one positive prompt"):
        kind.sample(patched, positive=kind.prompts[0] + kind.prompts[2])
    assert heard.runs == []


def test_blocks_that_are_not_there(kind):
    with pytest.raises(ValueError, match="keep_vectors: .*7.* is not within"):
        kind.record(keep_vectors="7")
