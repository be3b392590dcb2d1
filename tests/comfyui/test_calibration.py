"""Where nobody has published a temperature, scores are divided by their spread: as good as the fixed one on models that have one."""

from dataclasses import replace

import pytest
import torch
from concept_attention.concept_core.maps.decode import SHARPNESS, decode, spread
from concept_attention.concept_core.maps.presence import presence
from concept_attention.concept_core.maps.selection import select
from concept_attention.concept_core.recording.recipe import UNPUBLISHED
from evaluate import Demo, at_picture_size, concepts_of, judge
from scenes import HELD_OUT, SHAPES, draw_scene

pytestmark = pytest.mark.long  # asks nothing of ComfyUI that changes with its version


@pytest.fixture(scope="module", params=["flux", "sd3"])
def recorded(request):
    """(names, absent, true areas, recording, samples) of four scenes that the demo model has not seen."""
    demo, heard = Demo(request.param), []
    for seed in range(HELD_OUT, HELD_OUT + 4):
        scene = draw_scene(seed)
        names = concepts_of(scene)
        absent = next(shape for shape in SHAPES if not any(shape in name for name in names))
        recording, samples = demo.record(scene, [*names, absent])
        heard.append((names, absent, torch.from_numpy(scene.coverage), recording, samples))
    return heard


def judged(recorded, recipe=None):
    """(mean IoU, lowest presence of what is there, highest of what is not)"""
    ious, there, absent = [], [], []
    for names, _, areas, recording, samples in recorded:
        maps = decode(recording if recipe is None else replace(recording, recipe=recipe), samples)
        ious.append(float(judge(at_picture_size(maps)[: len(names)], areas)[0]))
        *present, missing = presence(maps, select(maps, "*"))[0].tolist()
        there.append(min(present))
        absent.append(missing)
    return sum(ious) / len(ious), min(there), max(absent)


def test_it_is_as_good_as_the_fixed_temperature(recorded):
    fixed, measured = judged(recorded), judged(recorded, UNPUBLISHED)
    assert measured[0] > fixed[0] - 0.01
    assert measured[1] > 0.25 and measured[2] < 0.1  # what is there is told from what is not


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_scale_of_a_model_does_not_matter(scale):
    """Neither grey nor all or nothing: a score three spreads above the other takes what a softmax gives it."""
    scores = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])[None] * scale
    unit = spread(scores)
    torch.testing.assert_close(unit.flatten(), torch.tensor([scale / SHARPNESS]))
    shares = (scores / unit).softmax(1)
    torch.testing.assert_close(shares[0, 0], torch.tensor([2.0 * SHARPNESS, -2 * SHARPNESS]).sigmoid())
