"""The demo models against ground truth: scenes that they are shown, and pictures that they paint, SD3 at CFG 4.5."""

import copy

import pytest
import torch
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.sampler import record_concepts
from evaluate import HELD_OUT, SIZES, Demo, at_picture_size, concepts_of, judge
from scenes import coverage_by_colour, draw_scene

pytestmark = pytest.mark.long  # asks nothing of ComfyUI that changes with its version

SCENES = range(HELD_OUT, HELD_OUT + 6)


@pytest.fixture(scope="module", params=["flux", "sd3"])
def demo(request):
    return Demo(request.param)


@pytest.fixture(scope="module")
def shown(demo):
    """For each size: (recording, samples, true areas [C, H, W]) of held-out scenes, each of which has one of the sizes."""
    return {
        size: [show(demo, draw_scene(seed, *shape)) for seed in SCENES[place :: len(SIZES)]]
        for place, (size, shape) in enumerate(SIZES.items())
    }


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


def test_maps_lie_on_what_the_model_paints(demo):
    judged = []
    for size, (caption, colours, concepts) in zip(
        (SIZES["wide"], SIZES["tall"]),  # a square one is painted below
        [
            ("a yellow star and a purple heart on grass", ["yellow", "purple"], ["star", "heart", "grass"]),
            ("an orange triangle on water", ["orange"], ["triangle", "water"]),
        ],
    ):
        recording, samples, picture = demo.paint(caption, concepts, size, seed=3)
        areas = torch.from_numpy(coverage_by_colour(picture.numpy(), colours, concepts[-1]))
        assert areas.mean((1, 2)).min() > 0.015, f"not painted: {caption}"
        judged.append(judge(at_picture_size(decode(recording, samples)), areas))
    iou, _, peaks = torch.tensor(judged).mean(0).tolist()
    assert iou >= 0.8 and peaks == 1


LISTS = [  # of concepts, and of what competes
    ("red circle, blue square, sand", ""),  # several tokens each
    ("circle, square, sand, heart, brick", ""),  # two that are not in the prompt
    ("circle, square, sand, star, heart, triangle, grass, snow, brick, water, green star, pink heart", ""),
    ("circle, square, circle, sand", ""),  # one named twice
    ("circle", ""),
    ("circle", "sand"),
    ("circle, square", "sand"),
    ("circle, square, sand", ""),
]


@pytest.fixture(scope="module")
def heard(demo):
    """(list → maps, true areas) of one picture, which all lists are heard in by Apply nodes in a row."""
    demo, recordings = copy.copy(demo), {}
    for concepts, background in LISTS:
        demo.model, recordings[concepts, background] = record_concepts(demo.model, encode_concepts(demo.clip, concepts, background))
    _, samples, picture = demo.paint("a red circle and a blue square on sand", ["circle"], (256, 256), seed=3)
    areas = torch.from_numpy(coverage_by_colour(picture.numpy(), ["red", "blue"], "sand"))
    return {listed: decode(recording, samples) for listed, recording in recordings.items()}, areas


@pytest.mark.parametrize("listed", LISTS[:4], ids=lambda listed: listed[0])
def test_lists_of_concepts(heard, listed):
    maps, areas = heard[0][listed], heard[1]
    assert maps.names == tuple(dict.fromkeys(listed[0].split(", ")))
    present = at_picture_size(maps)[: len(areas)]
    assert judge(present, areas)[2] == 1
    absent = at_picture_size(maps)[len(areas) :]
    if len(absent):
        assert absent.mean((1, 2)).max() < 0.1 * present.mean((1, 2)).max()


def test_one_concept_alone_is_raw_and_a_background_makes_it_compete(heard):
    maps, areas = heard
    alone, competing = maps["circle", ""], maps["circle", "sand"]
    assert not alone.softmaxed and alone.values.std() > 0.01 * alone.values.abs().mean()
    assert competing.softmaxed and areas[2].flatten()[at_picture_size(competing)[0].argmax()] == 0


def test_a_background_list_competes_and_is_not_shown(heard):
    maps, all_shown = heard[0]["circle, square", "sand"], heard[0]["circle, square, sand", ""]
    assert maps.num_shown == 2 and torch.equal(maps.values, all_shown.values)
