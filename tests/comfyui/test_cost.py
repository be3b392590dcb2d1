"""What must not creep back in: waiting for the device inside a step, and scores in twice the memory that they need."""

import warnings
from collections import Counter
from contextlib import contextmanager

import comfy.samplers
import pytest
import torch
from comfy.model_management import get_torch_device
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record import receiver
from concept_attention.concept_core.recording import host_copy
from torch.utils._python_dispatch import TorchDispatchMode

pytestmark = pytest.mark.long  # asks nothing of ComfyUI that changes with its version

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "allclose")


class Waits(TorchDispatchMode):
    """Counts what makes the host wait: operations whose result it needs before it can go on, and copies to it outside HostCopy."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in WAITS:
            self.count[name] += 1
        return function(*args, **(kwargs or {}))

    @contextmanager
    def watching(self):
        with self, pytest.MonkeyPatch.context() as patch:
            patch.setattr(host_copy, "_copy", torch.clone)
            patch.setattr(host_copy.HostCopy, "has_landed", lambda copies: False)  # on CUDA they are taken up later
            for name in ("cpu", "numpy", "tolist"):
                patch.setattr(torch.Tensor, name, self.counted(name, getattr(torch.Tensor, name)))
            plain = torch.Tensor.to

            def to(tensor, *args, **kwargs):
                self.count["to cpu"] += "cpu" in args
                return plain(tensor, *args, **kwargs)

            patch.setattr(torch.Tensor, "to", to)
            yield

    def counted(self, name, plain):
        def method(tensor, *args, **kwargs):
            self.count[name] += 1
            return plain(tensor, *args, **kwargs)

        return method


def sample_with(kind, model, visit, cfg):
    positive, negative, _ = kind.prompts
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(cfg)
    noise = torch.randn(2, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    guider.sample(noise, torch.zeros_like(noise), comfy.samplers.KSAMPLER(visit), torch.tensor([0.9, 0.5, 0.0]))


def waits_in_steps(kind, model, cfg):
    """How often the host waits while the guider predicts from two noise levels."""
    waits = Waits()

    def visit(model_k, noise, sigmas, extra_args, callback, disable):
        for sigma in sigmas[:2]:
            with waits.watching():
                model_k(noise, sigma.expand(len(noise)), **extra_args)
        return noise

    sample_with(kind, model, visit, cfg)
    return waits.count


def test_words_of_the_prompt_wait_in_the_first_step_alone(kind):
    """There the model's prompt is compared with theirs."""
    counts = []

    def visit(model_k, noise, sigmas, extra_args, callback, disable):
        for sigma in sigmas[:2]:
            waits = Waits()
            with waits.watching():
                model_k(noise, sigma.expand(len(noise)), **extra_args)
            counts[-1].append(sum(waits.count.values()))
        return noise

    for model in (kind.model, kind.record(concepts=kind.words())[0]):
        counts.append([])
        sample_with(kind, model, visit, 4.5)
    (_, plain), (first, second) = counts
    assert second == plain < first


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


def test_scores_that_are_moved_by_hand_are_noticed(kind):
    patched, _ = kind.record(observe=lambda scores, concept_out, image_out: scores["output"].cpu())
    assert (waits_in_steps(kind, patched, 1.0) - waits_in_steps(kind, kind.model, 1.0))["cpu"] > 0


@pytest.mark.skipif(get_torch_device().type != "cuda", reason="needs ComfyUI on CUDA (ON_GPU=1); the tests above are its twins")
def test_on_a_gpu_the_host_waits_no_more_than_without(kind):
    """In the second step: the first moves the concepts to the device."""

    def waits(model):
        told = []

        def visit(model_k, noise, sigmas, extra_args, callback, disable):
            model_k(noise, sigmas[:1].expand(len(noise)), **extra_args)
            torch.cuda.set_sync_debug_mode("warn")
            try:
                with warnings.catch_warnings(record=True) as heard:
                    warnings.simplefilter("always")
                    model_k(noise, sigmas[1:2].expand(len(noise)), **extra_args)
                    told.extend(heard)
            finally:
                torch.cuda.set_sync_debug_mode("default")
            return noise

        sample_with(kind, model, visit, 4.5)
        return len(told)

    patched, recording = kind.record(spaces="all")
    assert waits(patched) == waits(kind.model)
    assert len(recording.runs[0].steps) == 2


@pytest.mark.parametrize("spaces", ["output", "all"])
def test_packed_scores_decode_to_the_same_maps(kind, spaces, monkeypatch):
    maps, sizes = [], []
    for packed_from in (receiver.HALF_PRECISION_FROM, 0):
        monkeypatch.setattr(receiver, "HALF_PRECISION_FROM", packed_from)
        patched, recording = kind.record(spaces=spaces)
        samples = kind.sample(patched, batch=2, cfg=2.0, sampler="heun")
        maps.append([decode(recording, samples, space, blocks="all").values for space in recording.spaces])
        sizes.append(recording.runs[0].nbytes - sum(latent.nbytes for latent in recording.runs[0].latents))
    for exact, packed in zip(*maps):
        torch.testing.assert_close(packed, exact, rtol=0, atol=2e-4)
        assert not torch.equal(packed, exact)
    assert sizes[1] / sizes[0] == pytest.approx(0.5, abs=0.05)
