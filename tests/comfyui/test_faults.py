"""What goes wrong while a model samples: the picture goes on, or nothing is left behind."""

from dataclasses import replace

import comfy.model_management
import pytest
import torch
from concept_attention.concept_core.families import flux, sd3
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record import receiver
from kinds import by_turns


def state_of(model):
    return repr(model.model_options), {name: value.clone() for name, value in model.model.state_dict().items()}


def assert_same_state(before, after):
    assert before[0] == after[0]
    assert before[1].keys() == after[1].keys() and all(torch.equal(before[1][name], after[1][name]) for name in before[1])


@pytest.mark.parametrize("fault", [comfy.model_management.InterruptProcessingException, RuntimeError])
def test_a_fault_in_mid_sampling_leaves_nothing_behind(kind, fault):
    before = state_of(kind.model)
    patched, recording = kind.record()

    def stop(step, x0, x, total):
        if step == 1:
            raise fault

    with pytest.raises(fault):
        kind.sample(patched, callback=stop)
    assert recording.runs == []
    assert_same_state(before, state_of(kind.model))
    samples = kind.sample(patched)
    assert torch.equal(samples, kind.sample())
    assert len(recording.runs) == 1 and len(recording.runs[0].steps) == 4


@pytest.mark.parametrize("fault", [comfy.model_management.InterruptProcessingException, ZeroDivisionError, torch.cuda.OutOfMemoryError])
def test_a_fault_inside_a_block_leaves_nothing_behind(kind, fault):
    broken = kind.model.clone()
    calls = []

    def fail(args, extra):
        calls.append(1)
        if len(calls) == 2:
            raise fault("in the second step")
        return extra["original_block"](args)

    broken.set_model_patch_replace(fail, "dit", "double_block", 1)
    patched, recording = kind.record(broken)
    with pytest.raises(fault):
        kind.sample(patched)
    assert recording.runs == []
    assert torch.equal(kind.sample(patched), kind.sample()) and len(recording.runs) == 1


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"),
    MemoryError(),
]


@pytest.mark.long
@pytest.mark.parametrize(("error", "place"), by_turns(OUT_OF_MEMORY, ["enter", "leave", "begin"]), ids=repr)
def test_the_picture_goes_on_where_the_concept_stream_runs_out_of_memory(kind, monkeypatch, caplog, error, place):
    stream = {"flux": flux.Flux1Stream, "sd3": sd3.SD3Stream}[kind.name]
    entered, begin, calls = stream.enter, stream.begin, []

    def failing(function):
        def fail(*args):
            calls.append(1)
            if len(calls) == 3:
                raise error
            return function(*args)

        return fail

    def enter(*args):
        one = entered(*args)
        return replace(one, leave=failing(one.leave))

    monkeypatch.setattr(
        stream, "begin" if place == "begin" else "enter", {"begin": failing(begin), "enter": failing(entered), "leave": enter}[place]
    )
    patched, recording = kind.record()
    samples = kind.sample(patched)
    assert torch.equal(samples, kind.sample())
    assert caplog.text.count("memory ran out while recording") == 1
    with pytest.raises(ValueError, match="no maps: memory ran out while recording. Sample again with fewer concepts"):
        decode(recording, samples)
    monkeypatch.undo()
    samples = kind.sample(patched, seed=1)
    assert len(recording.run_of(samples)[0].steps) == 4


def test_scores_that_grow_too_large_are_given_up_in_time(kind, monkeypatch, caplog):
    monkeypatch.setattr(receiver, "MAX_NBYTES", 3000)
    patched, recording = kind.record()
    samples = kind.sample(patched, steps=8)
    assert torch.equal(samples, kind.sample(steps=8)) and recording.runs[0].nbytes < 3000 + samples.nbytes * 2
    assert caplog.text.count("grew beyond") == 1
    with pytest.raises(ValueError, match="no maps: the scores of one sampling grew beyond"):
        decode(recording, samples)


def test_an_error_in_the_concept_stream_that_is_no_lack_of_memory_is_not_hidden(kind):
    def fail(*args):
        raise RuntimeError("shapes do not match")

    patched, recording = kind.record(attend=fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        kind.sample(patched)
    assert recording.runs == []
