"""Scores in 16 bit: what is decoded from them is what float32 gives."""

import pytest
import torch
from concept_attention.concept_core.record import receiver
from concept_attention.concept_core.recording.half_precision import HalfPrecision, HalfPrecisionStep
from concept_attention.concept_core.recording.recording import Run
from concept_attention.concept_core.recording.scores import CROSS_SHARE


def scores(scale=1.0, concepts=6, blocks=3):
    """[blocks, B, C, N]"""
    return torch.randn(blocks, 2, concepts, 500, generator=torch.Generator().manual_seed(0)) * scale


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 1000.0])
def test_shares_and_raw_scores_stay(scale, offset):
    before = scores(scale) + offset
    after = HalfPrecision.of(before).scores()
    for temperature in (0.1, 1.0, 10.0, 1000.0):
        assert ((before / temperature).softmax(2) - (after / temperature).softmax(2)).abs().max() < 5e-4
    span = before.amax((2, 3), keepdim=True) - before.amin((2, 3), keepdim=True)
    assert ((before - after).abs() / span).max() < 5e-4
    assert torch.equal(before.argmax(2), after.argmax(2))


def test_it_takes_half_of_the_memory():
    before = scores(concepts=8)
    assert HalfPrecision.of(before).nbytes < 0.505 * before.nbytes


def test_concepts_that_are_equal_stay_equal():
    before = torch.full((1, 1, 3, 4), -7.0)
    assert torch.equal(HalfPrecision.of(before).scores(), before)
    before[..., 2, :] = -8
    assert torch.equal(HalfPrecision.of(before).scores()[:, :, :2], before[:, :, :2])


def test_one_concept_alone():
    before = scores(concepts=1)
    assert ((HalfPrecision.of(before).scores() - before).abs() < 5e-4 * (before.max() - before.min())).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), 1e5])
def test_what_does_not_fit_is_kept_as_it_is(bad):
    before = scores()
    before[1, 0, 2, 3] = bad
    assert HalfPrecision.of(before) is None
    kept = HalfPrecisionStep({"output": before})
    assert kept["output"] is before and kept.nbytes == before.nbytes


def test_small_shares_of_heads_stay_exact():
    before = scores(20.0).softmax(2)
    after = HalfPrecisionStep({CROSS_SHARE: before})[CROSS_SHARE]
    assert (before - after).abs().max() < 5e-4
    cold, warm = ((share.clamp(min=1e-30).log() / 10).softmax(2) for share in (before, after))
    assert (cold - warm).abs().max() < 5e-4


def test_only_a_large_sampling_is_packed(monkeypatch):
    def sampling():
        received = receiver.Receiver(Run(2, (1, 4, 6), (1, 2, 3), (32, 48), lambda percent: 1 - percent))
        for sigma in (0.9, 0.4, 0.4):
            received.add(torch.tensor(sigma), {"output": scores()})
        received.settle()
        return received.run

    small = sampling()
    monkeypatch.setattr(receiver, "HALF_PRECISION_FROM", small.nbytes - 1)
    large = sampling()
    assert large.nbytes < 0.51 * small.nbytes and list(large.steps) == list(small.steps)
    for sigma, step in small.steps.items():
        torch.testing.assert_close(large.steps[sigma]["output"], step["output"], rtol=0, atol=5e-3)
        assert not torch.equal(large.steps[sigma]["output"], step["output"])


@pytest.mark.parametrize("steps", [8, 12])
def test_steps_of_a_large_clip_are_joined(monkeypatch, caplog, steps):
    """So many in a row that it keeps within its bound, and each with the same weight."""
    all_scores = [scores() + number * scores(0.1).flip(0) for number in range(steps)]

    def sampling():
        received = receiver.Receiver(Run(2, (3, 4, 6), (1, 2, 3), (32, 48), lambda percent: 1 - percent))
        for number, heard in enumerate(all_scores):
            for _ in range(2):  # as samplers do that call the model twice a step
                received.add(torch.tensor(1 - number / steps), {"output": heard})
        received.settle()
        return received.run

    plain = sampling()
    assert len(plain.steps) == steps
    monkeypatch.setattr(receiver, "HALF_PRECISION_FROM", 0)
    one = receiver.HalfPrecisionStep({"output": all_scores[0]}).nbytes
    monkeypatch.setattr(receiver, "MAX_CLIP_NBYTES", int(3.5 * one))
    caplog.set_level("INFO")
    joined = sampling()
    assert len(joined.steps) == steps // 4 and "keeps the mean of every 4 steps" in caplog.text
    assert set(joined.steps) <= set(plain.steps) and joined.score_nbytes <= 3.5 * one
    for sigma, step in joined.steps.items():
        first = list(plain.steps).index(sigma)
        torch.testing.assert_close(step["output"], torch.stack(all_scores[first : first + 4]).mean(0), rtol=0, atol=2e-2)
