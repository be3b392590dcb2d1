"""The demo models against ground truth: scenes that they are shown, and pictures that they paint, SD3 at CFG 4.5."""

import pytest
import torch
from concept_attention.concept_core.maps.decode import decode
from evaluate import HELD_OUT, SIZES, Demo, at_picture_size, concepts_of, judge
from scenes import coverage_by_colour, draw_scene

pytestmark = pytest.mark.long  # asks nothing of ComfyUI that changes with its version

SCENES = range(HELD_OUT, HELD_OUT + 10)


@pytest.fixture(scope="module", params=["flux", "sd3"])
def demo(request):
    return Demo(request.param)


@pytest.fixture(scope="module")
def shown(demo):
    """For each size: (recording, samples, true areas [C, H, W]) of every held-out scene."""
    return {size: [show(demo, draw_scene(seed, *shape)) for seed in SCENES] for size, shape in SIZES.items()}


def show(demo, scene):
    names = concepts_of(scene)
    areas = torch.stack([torch.from_numpy(scene.area(name)) for name in names])
    return *demo.record(scene, names), areas


def figures(scenes, space="output", **choices):
    """Mean over scenes of (mean IoU of the winner, pixel accuracy, share of concepts that peak inside)."""
    judged = [judge(at_picture_size(decode(recording, samples, space, **choices)), areas) for recording, samples, areas in scenes]
    return torch.tensor(judged).mean(0).tolist()


@pytest.mark.parametrize("size", SIZES)
def test_maps_lie_on_what_they_name(shown, size):
    iou, accuracy, peaks = figures(shown[size])
    assert iou >= 0.8 and accuracy >= 0.95
    assert peaks == 1


def test_output_space_is_above_cross_attention_above_value_space(shown):
    scenes = sum(shown.values(), [])
    output, cross, value = (figures(scenes, space)[0] for space in ("output", "cross-attention", "value"))
    assert output > cross + 0.05 and cross > value + 0.05


@pytest.mark.parametrize(
    "move",
    [
        pytest.param(lambda m: m.transpose(1, 2), id="transposed"),
        pytest.param(lambda m: m.flip(2), id="mirrored"),
        pytest.param(lambda m: m.flip(1), id="upside down"),
        pytest.param(lambda m: m.roll((16, 16), (1, 2)), id="shifted by a token"),
    ],
)
def test_maps_that_lie_elsewhere_would_fail(shown, move):
    """The judge itself."""
    judged = [judge(move(at_picture_size(decode(r, s))), areas)[0] for r, s, areas in shown["square"]]
    assert sum(judged) / len(judged) < figures(shown["square"])[0] - 0.1


@pytest.mark.parametrize("size", SIZES)
def test_maps_lie_on_what_the_model_paints(demo, size):
    judged = []
    for caption, colours, concepts in [
        ("a red circle and a blue square on sand", ["red", "blue"], ["circle", "square", "sand"]),
        ("a yellow star and a purple heart on grass", ["yellow", "purple"], ["star", "heart", "grass"]),
        ("an orange triangle on water", ["orange"], ["triangle", "water"]),
    ]:
        recording, samples, picture = demo.paint(caption, concepts, SIZES[size], seed=3)
        areas = torch.from_numpy(coverage_by_colour(picture.numpy(), colours, concepts[-1]))
        assert areas.mean((1, 2)).min() > 0.015, f"not painted: {caption}"
        judged.append(judge(at_picture_size(decode(recording, samples)), areas))
    iou, _, peaks = torch.tensor(judged).mean(0).tolist()
    assert iou >= 0.8 and peaks == 1


SCENE = "a red circle and a blue square on sand"


@pytest.mark.parametrize(
    "concepts",
    [
        ["red circle", "blue square", "sand"],  # several tokens each
        ["circle", "square", "sand", "heart", "brick"],  # two that are not in the prompt
        ["circle", "square", "sand", "star", "heart", "triangle", "grass", "snow", "brick", "water", "green star", "pink heart"],
        ["circle", "square", "circle", "sand"],  # one named twice
    ],
)
def test_lists_of_concepts(demo, concepts):
    recording, samples, picture = demo.paint(SCENE, concepts, (256, 256), seed=3)
    maps = decode(recording, samples)
    assert maps.names == tuple(dict.fromkeys(concepts))
    areas = torch.from_numpy(coverage_by_colour(picture.numpy(), ["red", "blue"], "sand"))
    present = at_picture_size(maps)[: len(areas)]
    assert judge(present, areas)[2] == 1
    absent = at_picture_size(maps)[len(areas) :]
    if len(absent):
        assert absent.mean((1, 2)).max() < 0.1 * present.mean((1, 2)).max()


def test_one_concept_alone_is_raw_and_a_background_makes_it_compete(demo):
    recording, samples, picture = demo.paint(SCENE, ["circle"], (256, 256), seed=3)
    maps = decode(recording, samples)
    assert not maps.softmaxed and maps.values.std() > 0.01 * maps.values.abs().mean()
    recording, samples, picture = demo.paint(SCENE, ["circle"], (256, 256), seed=3, background="sand")
    maps = decode(recording, samples)
    areas = torch.from_numpy(coverage_by_colour(picture.numpy(), ["red", "blue"], "sand"))
    assert maps.softmaxed and areas[2].flatten()[at_picture_size(maps)[0].argmax()] == 0


def test_a_background_list_competes_and_is_not_shown(demo):
    with_background = demo.paint(SCENE, ["circle", "square"], (256, 256), seed=3, background="sand")
    listed = demo.paint(SCENE, ["circle", "square", "sand"], (256, 256), seed=3)
    assert torch.equal(with_background[1], listed[1])
    maps, all_shown = decode(*with_background[:2]), decode(*listed[:2])
    assert maps.num_shown == 2 and torch.equal(maps.values, all_shown.values)
