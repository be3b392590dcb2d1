"""The training of a demo Flux on things: the stream beside it changes nothing, and an interrupted training goes on exactly."""

import signal
import sys
from functools import partial

import differentiable_flux
import pytest
import torch
import train_things
from batches import Batch
from comfy_server import ROOT
from drawn_things import disc
from things import draw_scene

pytestmark = pytest.mark.long  # asks nothing of ComfyUI that changes with its version


@pytest.fixture
def model():
    torch.manual_seed(0)
    return differentiable_flux.new_model()


def batch(concepts):
    generator = torch.Generator().manual_seed(0)
    alone = Batch(*(torch.randn(size, generator=generator) for size in ((2, 16, 8, 12), (2, 20, 128), (2, 64))))
    if concepts:
        alone.concept_embeddings = torch.randn(2, 3, 128, generator=generator)
        alone.concept_token_there = torch.tensor([[True, True, True], [True, True, False]])
        alone.token_weights = torch.eye(3).expand(2, 3, 3)
        alone.coverage = torch.ones(2, 3, 24)
    return alone


@torch.no_grad()
def test_without_concepts_the_velocity_is_the_same_and_is_comfyui_s_own(model):
    sigma = torch.tensor([0.3, 0.8])
    with_concepts, without = batch(True), batch(False)
    velocity, scores, cross_scores = differentiable_flux.flow_and_scores(model, without.latent, sigma, without)
    beside, _, _ = differentiable_flux.flow_and_scores(model, without.latent, sigma, with_concepts)
    guidance = torch.full((2,), differentiable_flux.GUIDANCE)
    own = model(without.latent, sigma, without.context, without.pooled, guidance)
    assert torch.equal(velocity, beside) and scores == cross_scores == []
    assert torch.allclose(velocity, own, atol=1e-4) and own.std() > 0.01


@pytest.fixture(autouse=True)
def usual_signals():
    usual = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, usual)


def train(monkeypatch, folder, steps, *more):
    monkeypatch.setattr(train_things, "draw_scene", partial(draw_scene, sprite=disc))
    options = f"--scenes 4 --stages 96:2:0 128:1:2 --steps {steps}"
    monkeypatch.setattr(sys, "argv", ["train_things.py", str(folder), *options.split(), *more])
    train_things.main()
    return torch.load(folder / "checkpoint.pt")


def test_an_interrupted_training_goes_on_exactly(monkeypatch, tmp_path):
    monkeypatch.setattr(train_things, "HELD_OUT_SCENES", 2)
    at_once = train(monkeypatch, tmp_path / "at once", 3)
    train(monkeypatch, tmp_path / "in parts", 1)
    in_parts = train(monkeypatch, tmp_path / "in parts", 3)
    for kind in ("weights", "average"):
        assert all(torch.equal(tensor, in_parts[kind][name]) for name, tensor in at_once[kind].items())
    assert in_parts["step"] == 3
    assert sorted(path.name for path in (tmp_path / "in parts").glob("[cf]*")) == ["checkpoint.pt", "flux.safetensors"]


def test_a_training_begins_with_weights_that_are_given(monkeypatch, tmp_path):
    monkeypatch.setattr(train_things, "HELD_OUT_SCENES", 2)
    given = ROOT / "demo_training" / "unfinished" / "flux_things.safetensors"
    begun = train(monkeypatch, tmp_path, 1, "--weights", str(given), "--rate", "0")["weights"]
    assert all(torch.equal(begun[name], weight) for name, weight in differentiable_flux.load(given).items())


def test_a_training_that_is_ended_leaves_a_checkpoint(monkeypatch, tmp_path):
    monkeypatch.setattr(train_things, "HELD_OUT_SCENES", 2)

    def ended_in_the_second_step(stages, step):
        if step == 1:
            signal.raise_signal(signal.SIGTERM)
        return 96, 1, 0

    monkeypatch.setattr(train_things, "stage_at", ended_in_the_second_step)
    assert train(monkeypatch, tmp_path, 100)["step"] == 2


def test_rate_and_stages():
    rates = [train_things.rate_at(step, 1000, 2000) for step in (0, 49, 99, 999, 1000, 1500, 2000)]
    assert rates == [0.01, 0.5, 1, 1, 1, 0.5, 0]
    stages = [(128, 32, 0), (192, 16, 600)]
    assert [train_things.stage_at(stages, step) for step in (0, 599, 600, 9999)] == [stages[0], stages[0], stages[1], stages[1]]
