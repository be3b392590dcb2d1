"""Two models that sample one after the other, as Wan 2.2 14B's: one Apply each, and the steps of both."""

from dataclasses import replace

import pytest
import tiny
import torch
from concept_attention.concept_core.maps.decode import decode
from kinds import made

import nodes

pytestmark = pytest.mark.long
STEPS, SWITCH = 6, 3


@pytest.fixture(scope="module")
def kind():
    return made("wan")


def part(kind, model, latent, start, end, batch=1):
    """What KSamplerAdvanced gives out."""
    noise, leftover = ("enable", "enable") if start == 0 else ("disable", "disable")
    options = (5, STEPS, 2.0, "euler", "simple", kind.prompts[0], kind.prompts[1], {"samples": latent}, start, end, leftover)
    return nodes.KSamplerAdvanced().sample(model, noise, *options)[0]["samples"]


def two_parts(kind, second_model=None, **options):
    """Latents and recordings of both."""
    (first, before), (second, recording) = kind.record(**options), kind.record(second_model, **options)
    between = part(kind, first, kind.latent(), 0, SWITCH)
    return between, part(kind, second, between, SWITCH, STEPS), before, recording


def values(*recorded, **options):
    return decode(*recorded, **{"steps": "all"} | options).values


def test_the_same_model_twice_is_one_sampling(kind):
    """But for rounding, since the latent goes out and in again."""
    _, samples, before, recording = two_parts(kind)
    whole, of_whole = kind.record()
    alone = part(kind, whole, kind.latent(), 0, STEPS)
    torch.testing.assert_close(samples, alone, rtol=1e-4, atol=1e-4)
    for options in ({}, {"steps": "auto"}, {"start_percent": 0.2}, {"end_percent": 0.6}, {"temperature": 0.5}):
        expected = values(of_whole, alone, **options)
        torch.testing.assert_close(values(recording, samples, recording_before=before, **options), expected, rtol=1e-3, atol=1e-5)
    assert (values(recording, samples) - values(of_whole, alone)).abs().max() > 1e-4  # the second half of it is something else


def test_one_apply_node_for_both_samplers(kind):
    patched, recording = kind.record()
    between = part(kind, patched, kind.latent(), 0, SWITCH)
    samples = part(kind, patched, between, SWITCH, STEPS)
    _, others, before, second = two_parts(kind)
    expected = values(second, others, recording_before=before)
    assert torch.equal(values(recording, samples, recording_before=recording), expected)


def test_steps_of_two_models_count_alike(kind):
    between, samples, before, recording = two_parts(kind, tiny.wan(seed=1))
    early, late = values(before, between), values(recording, samples)
    joined = values(recording, samples, recording_before=before)
    assert (early - late).abs().max() > 0.01
    torch.testing.assert_close(joined, (early * SWITCH + late * (STEPS - SWITCH)) / STEPS, rtol=1e-5, atol=1e-6)


def test_the_late_steps_are_those_of_both(kind):
    """The last two of six, of which the second model has three."""
    _, samples, before, recording = two_parts(kind)
    (run,) = recording.runs
    late = next(percent / 100 for percent in range(100) if len(run.sigmas(percent / 100, 1.0)) == 2)
    chosen = values(recording, samples, recording_before=before, steps="auto")
    assert torch.equal(chosen, values(recording, samples, start_percent=late))


def test_each_clip_goes_on_with_its_own(kind):
    (first, before), (second, recording) = kind.record(), kind.record()
    between = part(kind, first, kind.latent(batch=2), 0, SWITCH)
    samples = part(kind, second, between.flip(0), SWITCH, STEPS)
    for place in range(2):
        own = values(recording, samples[place : place + 1], recording_before=before)
        expected = values(before, between.flip(0)[place : place + 1]) * SWITCH + values(recording, samples[place : place + 1]) * SWITCH
        torch.testing.assert_close(own, expected / STEPS, rtol=1e-5, atol=1e-6)


def test_what_does_not_belong_together_is_said(kind):
    _, samples, before, recording = two_parts(kind)
    whole, of_whole = kind.record()
    alone = part(kind, whole, kind.latent(), 0, STEPS)
    with pytest.raises(ValueError, match="none of its samplings gave out the latent that this one went on with"):
        values(of_whole, alone, recording_before=before)
    with pytest.raises(ValueError, match="none of its samplings gave out"):
        values(recording, samples, recording_before=of_whole)
    _, other = kind.record(concepts=replace(kind.concepts, names=("a", "b", "d")))
    with pytest.raises(ValueError, match="recording_before: its concepts are others than the recording's, .*'d'"):
        values(recording, samples, recording_before=other)
    _, other = kind.record(concepts=kind.words())
    with pytest.raises(ValueError, match="recording_before: its spaces are others than the recording's"):
        values(recording, samples, recording_before=other)
