"""The demo video model: its masks follow the things of clips, drawn ones and its own."""

import copy

import numpy as np
import pytest
from clips import DIRECTIONS, FRAMES, SMALL, draw_clip
from evaluate import Demo
from evaluate_clips import FAMILY, judge_clip, show
from scenes import HELD_OUT, coverage_by_colour

pytestmark = pytest.mark.long
CLIPS = range(HELD_OUT, HELD_OUT + 5)


@pytest.fixture(scope="module")
def demo():
    return Demo(FAMILY)


@pytest.fixture(scope="module")
def shown(demo):
    return [show(demo, draw_clip(seed, world=SMALL)) for seed in CLIPS]


def judged(shown, method="soft", refined=True):
    return [thing for clip in shown for thing in judge_clip(*clip, method, refined)]


def test_masks_lie_on_the_thing_in_every_frame_and_follow_it(shown):
    things = judged(shown)
    assert np.mean([thing.iou for thing in things]) >= 0.85
    assert np.mean([thing.iou for thing in things], 0).shape == (FRAMES,)
    assert np.mean([thing.iou for thing in things], 0).min() >= 0.8
    assert np.mean([thing.along for thing in things if thing.along is not None]) >= 0.99


def test_borders_flicker_less_than_those_of_winners(shown):
    soft, winner = (np.mean([thing.flicker for thing in judged(shown, *way)]) for way in (("soft", True), ("winner", False)))
    assert soft < winner


def test_masks_of_other_frames_would_fail(shown):
    """The judge itself: what comes late, or runs backwards, lies less well."""
    right = np.mean([thing.iou for thing in judged(shown)])
    for move in (lambda values: values.roll(1, 0), lambda values: values.flip(0)):
        moved = [copy.copy(clip[0]) for clip in shown]
        wrong = []
        for maps, (_, frames, areas, motions) in zip(moved, shown):
            object.__setattr__(maps, "values", move(maps.values))
            wrong += judge_clip(maps, frames, areas, motions, "soft", False)
        assert np.mean([thing.iou for thing in wrong]) < right - 0.1


@pytest.mark.parametrize("motion", SMALL.motions)
def test_what_it_samples_moves_as_it_was_told(demo, motion):
    recording, samples, frames = demo.paint(f"a red circle {motion} over grass", ["circle", "grass"], (128, 128), seed=3, frames=FRAMES)
    assert frames.shape == (FRAMES, 128, 128, 3)
    area = np.stack([coverage_by_colour(frame.numpy(), ["red"], "grass")[0] for frame in frames]) > 0.5
    assert 0.02 < area.mean() < 0.3
    places = np.array([[axis.mean() for axis in np.nonzero(mask)[::-1]] for mask in area])
    x, y = DIRECTIONS[motion]
    along, across = (places[-1] - places[0]) @ [x, y], (places[-1] - places[0]) @ [y, x]
    assert along > 8 and abs(across) < along / 2
