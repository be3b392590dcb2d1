"""ComfyUI's multi-GPU split: conditionings run on clones of the model, each on a device and a thread of its own.

Two names of the CPU stand for two GPUs.
"""

import comfy.model_management
import comfy.sd
import comfy.utils
import pytest
import torch
from concept_attention.concept_core.maps.decode import decode

multigpu = pytest.importorskip("comfy.multigpu", reason="this ComfyUI does not offer it")


@pytest.fixture
def two_devices(monkeypatch):
    devices = [torch.device("cpu"), torch.device("cpu", 0)]
    monkeypatch.setattr(comfy.model_management, "get_all_torch_devices", lambda exclude_current=False: devices[exclude_current:])


@pytest.fixture
def model(kind, tmp_path):
    """Clones are loaded from the model's file again."""
    path = str(tmp_path / "model.safetensors")
    comfy.utils.save_torch_file(kind.model.model.diffusion_model.state_dict(), path)
    return comfy.sd.load_diffusion_model(path)


@pytest.mark.parametrize("before", [True, False], ids=["before Apply", "after Apply"])
def test_conditionings_on_several_devices(kind, model, two_devices, before):
    alone, expected = kind.record(model)
    positive = kind.prompts[0] + kind.prompts[2]
    options = dict(cfg=3.0, batch=2, positive=positive)
    samples = kind.sample(alone, **options)
    if before:
        patched, recording = kind.record(multigpu.create_multigpu_deepclones(model, 2))
    else:
        patched, recording = kind.record(model)
        patched = multigpu.create_multigpu_deepclones(patched, 2)
    devices = set()

    def watch(apply_model, args):
        devices.add(args["c"]["transformer_options"]["multigpu_thread_device"])
        return apply_model(args["input"], args["timestep"], **args["c"])

    patched.set_model_unet_function_wrapper(watch)
    split = kind.sample(patched, **options)
    assert len(devices) == 2
    assert torch.equal(split, kind.sample(multigpu.create_multigpu_deepclones(model, 2), **options))
    assert len(recording.runs[0].steps) == 4
    torch.testing.assert_close(decode(recording, split).values, decode(expected, samples).values, rtol=1e-3, atol=1e-4)
