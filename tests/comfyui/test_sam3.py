"""Boxes and points as ComfyUI's own SAM3 and drawing nodes take them; SAM3 is real, but small and untrained."""

from dataclasses import replace

import comfy.model_patcher
import comfy.supported_models
import pytest
import torch
from concept_attention.concept_core.masks.boxes import boxes, detections, points, report
from concept_attention.concept_core.masks.masks import masks
from drawn_maps import maps, painted, truth

sam3 = pytest.importorskip("comfy_extras.nodes_sam3", reason="this ComfyUI has no SAM3")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = comfy.supported_models.SAM3({"image_model": "SAM3", "embed_dim": 64, "depth": 1})
    config.custom_operations = None
    base = config.get_model({}, "")
    for parameter in base.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    encoder = base.diffusion_model.detector.backbone["vision_backbone"]
    encode, encoded = encoder.forward, {}

    def once(images, **options):
        """A picture again is the most of the work again."""
        key = images.numpy().tobytes(), *options.items()
        if key not in encoded:
            encoded[key] = encode(images, **options)
        return encoded[key]

    encoder.forward = once
    return comfy.model_patcher.ModelPatcher(base.float().eval(), torch.device("cpu"), torch.device("cpu"))


@pytest.fixture(scope="module")
def found():
    made = maps(batch=2)
    image = painted(made)
    return detections(made, "left, absent, top", image), image


@pytest.fixture
def asked(model, monkeypatch):
    """What SAM3 is asked to segment."""
    prompts = []
    sam = model.model.diffusion_model
    segment = sam.forward_segment

    def listening(images, **inputs):
        prompts.append(inputs)
        return segment(images, **inputs)

    monkeypatch.setattr(sam, "forward_segment", listening)
    return prompts


@torch.no_grad()
def test_sam3_draws_a_mask_in_each_box(model, asked, found):
    places_found, image = found
    result = sam3.SAM3_Detect.execute(model, image, bboxes=boxes(places_found), refine_iterations=0, individual_masks=True)
    masks, _ = result.args
    assert masks.shape == (4, 96, 128)  # two things in each of two pictures
    expected = [[0, 32, 32, 96], [64, 0, 128, 16], [0, 32, 48, 96], [64, 0, 128, 32]]  # pixels of 128 x 96
    corners = torch.stack([prompt["box_inputs"][0].flatten() for prompt in asked])
    torch.testing.assert_close(corners * torch.tensor([128, 96, 128, 96]) / 1008, torch.tensor(expected).float(), atol=2, rtol=0)


@torch.no_grad()
def test_sam3_draws_a_mask_at_each_point(model, asked, found):
    places_found, image = found
    for text in points(places_found)[:3:2]:
        masks, _ = sam3.SAM3_Detect.execute(model, image[:1], positive_coords=text, refine_iterations=0).args
        assert masks.shape == (1, 96, 128)
    (left_x, left_y), (top_x, top_y) = (prompt["point_inputs"]["point_coords"][0, 0] * torch.tensor([128, 96]) / 1008 for prompt in asked)
    assert 8 < left_x < 24 and 40 < left_y < 88 and 70 < top_x < 122 and 4 < top_y < 12
    masks, _ = sam3.SAM3_Detect.execute(model, image[:1], positive_coords=points(places_found)[1], refine_iterations=0).args
    assert masks.eq(0).all() and len(asked) == 2  # absent: no point, no mask


@pytest.fixture(scope="module")
def clip():
    """(maps, frames) of a clip of two frames: what is left and what is on top grow."""
    made = replace(maps(batch=2), frames_per_latent=1)
    return made, painted(made.at_pictures())


@torch.no_grad()
def test_sam3_reads_boxes_frame_by_frame(model, asked, clip):
    made, frames = clip
    places_found = detections(made, "left, absent", frames)
    segmented, _ = sam3.SAM3_Detect.execute(model, frames, bboxes=boxes(places_found), refine_iterations=0).args
    assert segmented.shape == (2, 96, 128) and len(asked) == 2
    corners = torch.stack([prompt["box_inputs"][0].flatten() for prompt in asked]) * torch.tensor([128, 96, 128, 96]) / 1008
    things = truth(made.at_pictures(), 0) > 0
    columns = things.any(1).sum(1)
    assert columns[0] < columns[-1]
    torch.testing.assert_close(corners[:, 2], columns.float(), atol=2, rtol=0)
    lines = report(places_found, "frame").splitlines()
    assert [line.split(" 0.")[0] for line in lines[:3]] == ["frame 1: left", "frame 1: absent", "frame 2: left"]


def test_sam3_is_asked_to_follow_the_masks_of_the_first_frame(model, clip, monkeypatch):
    """One for each thing. The tracking itself is left out: it takes minutes."""
    made, frames = clip
    first = masks(made, "left, top", "winner", image=frames).unflatten(0, (2, 2))[:, 0]
    with pytest.raises(Asked) as asked, monkeypatch.context() as patch:
        patch.setattr(model.model.diffusion_model, "forward_video", Asked.to_follow)
        sam3.SAM3_VideoTrack.execute(frames, model, initial_mask=first)
    assert torch.equal(asked.value.inputs["initial_masks"][:, 0], first) and first.any(2).any(1).all()
    assert len(asked.value.inputs["images"]) == 2


class Asked(Exception):
    @classmethod
    def to_follow(cls, **inputs):
        asked = cls()
        asked.inputs = inputs
        raise asked


def test_boxes_are_drawn(found):
    drawing = pytest.importorskip("comfy_extras.nodes_rtdetr", reason="this ComfyUI does not draw boxes")
    places_found, image = found
    (drawn,) = drawing.DrawBBoxes.execute(boxes(places_found)[:1], torch.full((1, 96, 128, 3), 0.5)).args
    changed = (drawn[0] - 0.5).abs().amax(2) > 0.1
    inner = torch.zeros(96, 128, dtype=torch.bool)
    for x, y, width, height in (place.box for place in places_found[0] if place.box):
        for edge in ((y, slice(x, x + width)), (slice(y, y + height), x)):
            assert changed[edge].float().mean() > 0.9
        inner[y : y + height + 4, x : x + width + 4] = True
    assert not changed[40:, 64:][~inner[40:, 64:]].any()
