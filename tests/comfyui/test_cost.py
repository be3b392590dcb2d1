"""What must not creep back in: waiting for the device inside a step, and scores in twice the memory that they need."""

from collections import Counter

import comfy.samplers
import pytest
import torch
from comfy.model_management import get_torch_device
from concept_attention.concept_core import recording as recording_module
from concept_attention.concept_core.maps import decode
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero")


class Waits(TorchDispatchMode):
    """Counts operations whose result the host needs before it can go on: on a GPU it waits for all that is queued."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in WAITS:
            self.count[name] += 1
        return function(*args, **(kwargs or {}))


def waits_in_steps(kind, model, cfg):
    """How often the host waits while the guider predicts from two noise levels."""
    waits = Waits()

    def visit(model_k, noise, sigmas, extra_args, callback, disable):
        for sigma in sigmas[:2]:
            with waits:
                model_k(noise, sigma.expand(len(noise)), **extra_args)
        return noise

    positive, negative, _ = kind.prompts
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    noise = torch.randn(2, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    guider.sample(noise, torch.zeros_like(noise), comfy.samplers.KSAMPLER(visit), torch.tensor([0.9, 0.5, 0.0]))
    return waits.count


@pytest.mark.parametrize("spaces", ["output", "all"])
@pytest.mark.parametrize("cfg", [1.0, 4.5])
def test_a_step_waits_for_nothing_more(kind, cfg, spaces):
    patched, recording = kind.record(spaces=spaces)
    assert waits_in_steps(kind, patched, cfg) == waits_in_steps(kind, kind.model, cfg)
    assert len(recording.runs[0].steps) == 2


def test_a_window_waits_once_a_step(kind):
    """So the test above can fail."""
    patched, _ = kind.record(None, 0.0, 0.9)
    assert waits_in_steps(kind, patched, 1.0) - waits_in_steps(kind, kind.model, 1.0) == Counter(_local_scalar_dense=2)


@pytest.mark.skipif(get_torch_device().type != "cuda", reason="needs ComfyUI on CUDA (ON_GPU=1); the tests above are its twins")
def test_on_a_gpu_the_host_never_waits_inside_a_step(kind):
    patched, recording = kind.record(spaces="all")
    torch.cuda.set_sync_debug_mode("error")
    try:
        waits_in_steps(kind, patched, 4.5)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(recording.runs[0].steps) == 2


@pytest.mark.parametrize("spaces", ["output", "all"])
def test_packed_scores_decode_to_the_same_maps(kind, spaces, monkeypatch):
    maps, sizes = [], []
    for packed_from in (recording_module.PACKED_FROM, 0):
        monkeypatch.setattr(recording_module, "PACKED_FROM", packed_from)
        patched, recording = kind.record(spaces=spaces)
        samples = kind.sample(patched, batch=2, cfg=2.0, sampler="heun")
        maps.append([decode(recording, samples, space, "all").values for space in recording.spaces])
        sizes.append(sum(scores.nbytes for scores in recording.runs[0].latents) - recording.runs[0].bytes)
    for exact, packed in zip(*maps):
        torch.testing.assert_close(packed, exact, rtol=0, atol=2e-4)
        assert not torch.equal(packed, exact)
    assert sizes[1] / sizes[0] == pytest.approx(0.5, abs=0.05)
