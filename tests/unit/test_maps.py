"""Decoding hand-made recordings, whose maps can be worked out on paper."""

import math

import pytest
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.receiver import Receiver
from concept_attention.concept_core.recording.recording import MAX_OLDER, NO_ROOM, Recording, Run
from concept_attention.concept_core.recording.scores import CROSS_SHARE

SAMPLES = torch.arange(2 * 16 * 4 * 6.0).reshape(2, 16, 4, 6)  # grid 2 x 3


def recording(names=("a", "b"), num_shown=None, spaces=("output",), depth=4):
    concepts = Concepts(tuple(names), num_shown or len(names), "t5", torch.zeros(len(names), 8), torch.eye(len(names)))
    return Recording(concepts, spaces, depth, range(depth - 1, depth), 16)


def run(scores, samples=SAMPLES, space="output", sigmas=(1.0, 0.5, 0.25), origin=None):
    """A run with scores [steps, blocks, B, C, N] at those sigmas; percent p is at sigma 1 − p."""
    made = Run(len(samples), (1, 4, 6), (1, 2, 3), (32, 48), lambda percent: 1 - percent, origin=origin)
    receiver = Receiver(made)
    for sigma, step in zip(sigmas, scores):
        receiver.add(torch.tensor(sigma), {space: step})
    receiver.settle()
    made.latents.append(samples)
    return made


def constant(*values, blocks=4, batch=2, tokens=6):
    """[blocks, B, C, N] with one value per concept."""
    return torch.tensor(values)[None, None, :, None].expand(blocks, batch, len(values), tokens).clone()


def decoded(recorded, made, **choices):
    recorded.keep(made)
    return decode(recorded, made.latents[0], **choices)


def test_softmax_is_taken_before_the_mean_over_steps_and_blocks():
    steps = torch.stack([constant(0.0, math.log(3)), constant(math.log(9), 0.0)])
    maps = decoded(recording(), run(steps))
    # shares of a: 1/4 and 9/10; of the mean scores it would be 0.634
    assert maps.values[:, 0] == pytest.approx(torch.full((2, 2, 3), (0.25 + 0.9) / 2))
    assert maps.softmaxed and maps.image_size == (32, 48)


def test_without_softmax_maps_are_mean_scores():
    maps = decoded(recording(), run(torch.stack([constant(1.0, 5.0), constant(2.0, -5.0)])), softmax=False)
    assert maps.values[0, 0].eq(1.5).all() and maps.values[0, 1].eq(0).all() and not maps.softmaxed


def test_pictures_of_a_batch_that_came_out_alike_have_each_their_own_maps():
    """Where no conditioning is active in the last step every picture ends as zeros."""
    scores = torch.stack([constant(0.0, 0.0, batch=1), constant(math.log(3), 0.0, batch=1)], 2).flatten(1, 2)
    maps = decoded(recording(), run(scores[None], samples=torch.zeros(2, 16, 4, 6)))
    torch.testing.assert_close(maps.values[:, 0, 0, 0], torch.tensor([0.5, 0.75]))


def test_one_concept_is_not_one_everywhere():
    scores = torch.arange(6.0).expand(1, 4, 2, 1, 6)
    maps = decoded(recording(["a"]), run(scores))
    assert torch.equal(maps.values[1, 0], torch.arange(6.0).reshape(2, 3)) and not maps.softmaxed


def test_temperature_divides_the_scores():
    maps = decoded(recording(), run(constant(0.0, 4 * math.log(3))[None]), temperature=4.0)
    assert maps.values[0, 1] == pytest.approx(torch.full((2, 3), 0.75))


def test_cross_attention_takes_the_shares_of_each_head():
    recorded = recording(spaces=("output", "cross-attention"))
    made = run(constant(7.0, 7.0)[None], space="cross-attention")
    made.steps[1.0] |= {"output": constant(0.0, 0.0), CROSS_SHARE: constant(0.2, 0.8)}
    recorded.keep(made)
    assert decode(recorded, SAMPLES, "cross-attention").values[0, 0] == pytest.approx(torch.full((2, 3), 0.2))
    softer = decode(recorded, SAMPLES, "cross-attention", temperature=2.0).values[0, 0]
    assert softer == pytest.approx(torch.full((2, 3), 0.2**0.5 / (0.2**0.5 + 0.8**0.5)))


def test_background_competes_and_is_not_shown():
    maps = decoded(recording(["a", "b"], num_shown=1), run(constant(0.0, math.log(3))[None]))
    assert maps.num_shown == 1 and maps.names == ("a", "b")
    assert maps.values[0, 0] == pytest.approx(torch.full((2, 3), 0.25))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_maps_of_what_overflowed_are_not_made(bad):
    with pytest.raises(ValueError, match="The maps hold NaN or infinity: the model's numbers overflowed"):
        decoded(recording(), run(constant(1.0, bad)[None]), softmax=False)


def test_tokens_lie_row_by_row():
    scores = torch.zeros(1, 4, 2, 2, 6)
    scores[..., 0, 4] = 50  # row 1, column 1
    maps = decoded(recording(), run(scores))
    assert (maps.values[0, 0] > 0.9).nonzero().tolist() == [[1, 1]]


@pytest.mark.parametrize(("start", "end", "expected"), [(0, 1, 2.0), (0, 0.25, 1.0), (0.5, 0.75, 2.5), (0.5, 0.6, 2.0), (0.75, 1, 3.0)])
def test_percent_chooses_steps_by_sigma(start, end, expected):
    steps = torch.stack([constant(1.0, 0.0), constant(2.0, 0.0), constant(3.0, 0.0)])  # sigmas 1, 0.5, 0.25
    maps = decoded(recording(), run(steps), softmax=False, start_percent=start, end_percent=end)
    assert maps.values[0, 0].eq(expected).all()


def test_calls_at_the_same_sigma_are_averaged():
    made = run(torch.stack([constant(score, 0.0) for score in (1.0, 4.0, 7.0)]), sigmas=(1.0, 1.0, 1.0))
    assert list(made.steps) == [1.0] and decoded(recording(), made, softmax=False).values[0, 0].eq(4).all()


def test_each_latent_gets_its_own_run_and_rows():
    recorded = recording()
    for i in range(3):
        recorded.keep(run(constant(float(i), 0.0)[None], SAMPLES + i))
    scores = torch.zeros(1, 4, 2, 2, 6)
    scores[:, :, 1] = 9
    recorded.keep(run(scores, SAMPLES + 9))
    assert decode(recorded, SAMPLES + 1, softmax=False).values[0, 0].eq(1).all()
    assert decode(recorded, (SAMPLES + 9)[1:], softmax=False).values[:, 0].eq(9).all()
    thirds = SAMPLES / 3
    assert not torch.equal(thirds.half().float(), thirds)
    recorded.keep(run(constant(5.0, 0.0)[None], thirds))
    assert decode(recorded, thirds.half(), softmax=False).values[0, 0].eq(5).all()  # as a node that halves a latent hands it on


def small_runs(*origins):
    return [run(constant(float(i), 0.0)[None], SAMPLES + i, origin=origin) for i, origin in enumerate(origins)]


def kept(runs):
    recorded = recording()
    for one in runs:
        recorded.keep(one)
    return recorded


def test_runs_that_no_queue_made_are_bounded():
    runs = small_runs(*[None] * (MAX_OLDER + 4))
    recorded = kept(runs)
    assert recorded.runs == runs[3:]  # the last one, and MAX_OLDER before it
    with pytest.raises(ValueError, match="Of earlier queues only the last 8 samplings are kept"):
        decode(recorded, SAMPLES)


def test_what_a_node_sampled_in_its_latest_queue_is_kept_whatever_its_number():
    """Two nodes in the first queue, of which the second samples 20 times there and 20 times in each of two more queues."""
    once = [("queue 1", "other")]
    many = [[(queue, "node")] * 20 for queue in ("queue 1", "queue 2", "queue 3")]
    runs = small_runs(*once, *many[0], *many[1], *many[2])
    recorded = kept(runs)
    assert recorded.runs == [runs[0], *runs[-20 - MAX_OLDER :]]
    assert decode(recorded, runs[0].latents[0], softmax=False).values[0, 0].eq(0).all()


def test_large_runs_make_room_those_first_that_are_needed_least(monkeypatch, caplog):
    first, second, third, fourth = runs = small_runs(("queue 1", "a"), ("queue 1", "b"), ("queue 2", "a"), ("queue 2", "c"))
    size = first.nbytes
    free_ram(monkeypatch, limit=4 * size, free=0)
    assert kept(runs).runs == runs
    free_ram(monkeypatch, limit=3 * size, free=0)
    assert kept(runs).runs == [second, third, fourth]  # node a has sampled again
    free_ram(monkeypatch, limit=2 * size, free=0)
    assert kept(runs).runs == [third, fourth] and not caplog.text
    free_ram(monkeypatch, limit=size, free=2 << 30)
    assert kept(runs).runs == [third, fourth] and third.steps
    free_ram(monkeypatch, limit=size, free=(2 << 30) - 1)
    recorded = kept([third, fourth])
    assert recorded.runs == [third, fourth] and fourth.steps and caplog.text.count(NO_ROOM) == 1
    recorded.keep(run(constant(4.0, 0.0)[None], SAMPLES + 4, origin=("queue 2", "d")))
    assert caplog.text.count(NO_ROOM) == 2  # of the fourth now, and not of the third again
    with pytest.raises(ValueError, match="no maps: its scores made room for those of newer samplings. Sample again with fewer concepts"):
        decode(recorded, third.latents[0])


def free_ram(monkeypatch, limit, free):
    monkeypatch.setattr("concept_attention.concept_core.recording.recording.MAX_BYTES", limit)
    monkeypatch.setattr("concept_attention.concept_core.recording.recording.free_on_host", lambda: free)


def test_a_single_run_beyond_the_limit_is_kept_and_said(monkeypatch, caplog):
    (made,) = small_runs(None)
    free_ram(monkeypatch, limit=made.nbytes - 1, free=0)
    assert kept([made]).runs == [made] and "record fewer steps" in caplog.text


def test_sigmas_beyond_the_schedule_belong_to_its_ends():
    made = run(torch.stack([constant(1.0, 0.0), constant(3.0, 0.0)]), sigmas=(1.0, 1.2))
    assert len(made.window(0, 1)) == 2 and len(made.window(0.001, 1)) == 0 and len(made.window(0, 0.5)) == 2


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"start_percent": 0.6, "end_percent": 0.4}, "start_percent .0.6. must be below end_percent .0.4."),
        ({"start_percent": 0.1, "end_percent": 0.2}, "No recorded step lies between 0.1 and 0.2"),
        ({"space": "value"}, 'value space was not recorded: set spaces to "all"'),
        ({"space": "cross-attention"}, 'set spaces to "output . cross-attention"'),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"blocks": "4"}, "0-3"),
    ],
)
def test_what_cannot_be_decoded_is_said_with_the_mend(choices, message):
    with pytest.raises(ValueError, match=message):
        decoded(recording(), run(constant(0.0, 0.0)[None]), **choices)


def test_decode_before_any_sampling_and_with_a_latent_from_elsewhere():
    recorded = recording()
    with pytest.raises(ValueError, match="Nothing is recorded yet"):
        decode(recorded, SAMPLES)
    recorded.keep(run(constant(0.0, 0.0)[None]))
    for other in (SAMPLES + 1, SAMPLES[:, :, :, :4], SAMPLES.repeat(2, 1, 1, 1) + torch.arange(4.0)[:, None, None, None]):
        with pytest.raises(ValueError, match="do not come from a sampler that used this recording's model"):
            decode(recorded, other)
