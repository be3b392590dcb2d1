"""The workflows that make clips: what they save, frame by frame."""

from pathlib import Path

import numpy as np
import pytest
from clips import FRAMES
from PIL import Image, ImageSequence
from prompts import nodes
from scenes import coverage_by_colour
from scipy.ndimage import distance_transform_edt

SHAPE = (FRAMES, 128, 128, 3)


@pytest.fixture(scope="module")
def run(live):
    """An example workflow's clips [F, H, W, 3] in 0..1 by file name."""
    done = {}

    def run(name):
        if name not in done:
            prompt = live.workflow(name)
            result = live.queue(prompt)
            done[name] = {
                prompt[node]["inputs"]["filename_prefix"].split("/")[-1]: clip(live, result, node)
                for node in nodes(prompt, "SaveAnimatedWEBP")
            }
        return done[name]

    return run


def clip(live, result, node):
    (saved,) = result.outputs[node]["images"]
    with Image.open(Path(live.output, saved["subfolder"], saved["filename"])) as file:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]) / 255


def middles(masks):
    return np.array([[axis.mean() for axis in np.nonzero(mask)[::-1]] for mask in masks])


def test_the_mask_follows_the_circle(run):
    shown = run("27 Masks for a clip (demo)")
    assert {name: clip.shape for name, clip in shown.items()} == dict.fromkeys(["clip", "overlay", "mask"], SHAPE)
    circle = np.stack([coverage_by_colour(frame, ["red"], "grass")[0] for frame in shown["clip"]]) > 0
    mask = shown["mask"][..., 0] > 0.5
    assert np.mean([(m & c).sum() / (m | c).sum() for m, c in zip(mask, circle)]) > 0.85
    right = middles(circle)[:, 0]
    assert right[-1] - right[0] > 10
    assert np.abs(middles(mask)[:, 0] - right).max() < 4


def test_the_thing_is_another_one_in_every_frame_and_the_rest_stays(run):
    shown = run("28 Repaint a moving thing (demo)")
    assert {name: clip.shape for name, clip in shown.items()} == dict.fromkeys(["first", "second", "mask"], SHAPE)
    mask = shown["mask"][..., 0] > 0
    for frame, was, now in zip(mask, shown["first"], shown["second"]):
        before, after = (coverage_by_colour(picture, ["red", "blue"], "grass") > 0 for picture in (was, now))
        assert before[1].sum() == 0 and after[0].sum() < 0.05 * before[0].sum() and after[1].sum() > 0.3 * before[0].sum()
    passed = distance_transform_edt(~mask.any(0)) > 24
    assert np.abs(shown["first"] - shown["second"])[:, passed].max() < 0.05
