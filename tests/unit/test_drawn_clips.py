"""Drawn clips: what the caption says is what happens in them."""

import numpy as np
import pytest
from clips import DIRECTIONS, FRAMES, SIZE, draw_clip

CLIPS = [draw_clip(900_000_300 + number) for number in range(12)]


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.caption)
def test_things_move_as_the_caption_says(clip):
    assert clip.frames.shape == (FRAMES, SIZE, SIZE, 3) and clip.caption.endswith(f"over {clip.ground}")
    for thing in clip.things:
        assert f"{thing.name} {thing.motion}" in clip.caption
        area = clip.area(thing.name)
        places = np.array([[np.average(axis, weights=mask) for axis in np.mgrid[:SIZE, :SIZE][::-1]] for mask in area])
        expected = np.outer(np.arange(FRAMES), DIRECTIONS[thing.motion]) * thing.speed
        np.testing.assert_allclose(places - places[0], expected, atol=0.1)
        np.testing.assert_allclose(area.sum((1, 2)), area[0].sum(), rtol=0.01)  # nothing is cut off or covered


def test_there_are_all_kinds_of_motion_and_one_or_two_things():
    assert {thing.motion for clip in CLIPS for thing in clip.things} == set(DIRECTIONS)
    assert {len(clip.things) for clip in CLIPS} == {1, 2}


def test_coverage_is_shared_and_chosen_frames_are_those_of_the_whole():
    clip = CLIPS[0]
    np.testing.assert_allclose(clip.coverage.sum(0), 1, atol=1e-5)
    some = draw_clip(900_000_300, [3, 7])
    assert np.array_equal(some.frames, clip.frames[[3, 7]]) and np.array_equal(some.coverage, clip.coverage[:, [3, 7]])
