"""Boxes and points as ComfyUI's own SAM3 and drawing nodes take them; SAM3 is real, but small and untrained."""

import comfy.model_patcher
import comfy.supported_models
import pytest
import torch
from concept_attention.concept_core.places import boxes, places, points
from drawn_maps import maps, painted

sam3 = pytest.importorskip("comfy_extras.nodes_sam3", reason="this ComfyUI has no SAM3")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = comfy.supported_models.SAM3({"image_model": "SAM3", "embed_dim": 64, "depth": 1})
    config.custom_operations = None
    base = config.get_model({}, "")
    for parameter in base.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return comfy.model_patcher.ModelPatcher(base.float().eval(), torch.device("cpu"), torch.device("cpu"))


@pytest.fixture(scope="module")
def found():
    made = maps(batch=2)
    image = painted(made)
    return places(made, "left, absent, top", image), image


@torch.no_grad()
def test_sam3_draws_a_mask_in_each_box(model, found):
    places_found, image = found
    result = sam3.SAM3_Detect.execute(model, image, bboxes=boxes(places_found), refine_iterations=0, individual_masks=True)
    masks, _ = result.args
    assert masks.shape == (4, 96, 128)  # two things in each of two pictures


@torch.no_grad()
def test_sam3_draws_a_mask_at_each_point(model, found):
    places_found, image = found
    for text in points(places_found)[:3:2]:
        masks, _ = sam3.SAM3_Detect.execute(model, image[:1], positive_coords=text, refine_iterations=0).args
        assert masks.shape == (1, 96, 128)
    masks, _ = sam3.SAM3_Detect.execute(model, image[:1], positive_coords=points(places_found)[1], refine_iterations=0).args
    assert masks.eq(0).all()  # absent: no point, no mask


def test_boxes_are_drawn(found):
    drawing = pytest.importorskip("comfy_extras.nodes_rtdetr", reason="this ComfyUI does not draw boxes")
    places_found, image = found
    (drawn,) = drawing.DrawBBoxes.execute(boxes(places_found), image).args
    changed = (drawn - image).abs().amax(3) > 0.1
    x, y, width, height = places_found[0][0].box
    assert drawn.shape == image.shape and changed[0, y : y + height, max(x, 1) + width - 4 : x + width + 4].any()
