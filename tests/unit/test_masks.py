import logging
from dataclasses import replace

import pytest
import torch
from concept_attention.concept_core.draw.explorer import selected_mask
from concept_attention.concept_core.draw.heatmaps import heatmaps
from concept_attention.concept_core.draw.segmentation import segment
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.maps.presence import labelled, presence
from concept_attention.concept_core.maps.resize import upsample
from concept_attention.concept_core.maps.selection import select
from concept_attention.concept_core.masks.boxes import detections
from concept_attention.concept_core.masks.masks import METHODS, masks
from drawn_maps import NAMES, maps, painted, truth


@pytest.mark.parametrize("method", METHODS)
def test_order_shape_and_range(method):
    made = maps(batch=3)
    result = masks(made, "*", method)
    assert result.shape == (9, 96, 128) and result.dtype == torch.float32 and 0 <= result.min() and result.max() <= 1
    for number in range(3):
        for place in range(2):
            mask, area = result[3 * number + place], truth(made, place)[number]
            assert (mask * area).sum() > 0.7 * area.sum() and ((mask >= 0.5) & (area == 0)).float().mean() < 0.15
        assert result[3 * number + 2].eq(0).all()
    assert torch.equal(masks(made, "top", method), result[1::3])
    assert torch.equal(masks(made, "top, left", method)[:2], result[:2].flip(0))


@pytest.mark.parametrize("method", METHODS)
def test_edges_follow_the_picture(method):
    made = maps(batch=2)
    image = painted(made)
    result = masks(made, "left, top", method, image=image).unflatten(0, (2, 2))
    for place in range(2):
        area = truth(made, place) >= 0.5
        within = result[:, place] >= 0.5
        assert ((within & area).sum() / (within | area).sum()) > (0.75 if method == "mean" else 0.99)
    assert torch.equal(result.flatten(0, 1), masks(made, "left, top", method, image=image, edge_radius=32))  # the default
    smooth = masks(made, "left, top", method)
    assert torch.equal(masks(made, "left, top", method, image=image, edge_radius=0), smooth)
    assert not torch.equal(result.flatten(0, 1), smooth)


def test_joining_two_concepts():
    made = maps()
    joined = masks(made, "left + top", "winner")
    union = masks(made, "left, top", "winner").amax(0, keepdim=True)
    assert (joined >= union).all() and (joined - union).mean() < 0.02
    for method in ("winner", "threshold"):
        assert masks(made, "left + top + absent + rest", method, threshold=0.999).eq(1).all()


def test_two_that_share_a_thing_win_it_together():
    shares = torch.tensor([0.3, 0.3, 0.4])[None, :, None, None].expand(1, 3, 4, 4)
    made = Maps(shares, ("dog", "puppy", "lawn"), 3, True, (64, 64), 16)
    assert masks(made, "dog", "winner").eq(0).all() and masks(made, "dog + puppy", "winner").eq(1).all()
    raw = replace(made, softmaxed=False)
    assert masks(raw, "dog + puppy", "winner").eq(0).all() and masks(raw, "dog + lawn", "winner").eq(1).all()


def test_the_background_list_competes_and_can_be_chosen():
    made = maps()
    assert len(masks(made, "*", "winner")) == 3
    everything = masks(made, "left, top, absent, rest", "winner")
    assert torch.equal(everything.sum(0), torch.ones(96, 128)) and everything[3].mean() > 0.3


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.96, 1.0])
def test_threshold_is_a_share(threshold):
    covered = masks(maps(), "left", "threshold", threshold).mean().item()
    assert covered == {0.0: 1, 0.3: pytest.approx(truth(maps(), 0).mean().item(), rel=0.3), 0.96: 0, 1.0: 0}[threshold]


def test_an_image_of_another_size_gives_its_size_and_of_other_proportions_is_refused():
    made = maps(batch=2, image_size=(90, 120))  # the last tokens reach beyond the edge
    for size in ((90, 120), (180, 240), (45, 60), (136, 180)):
        result = masks(made, "left", "otsu", image=torch.rand(2, *size, 3))
        assert result.shape == (2, *size)
    for size, numbers in (((120, 90), "90 x 120"), ((90, 90), "90 x 90")):
        with pytest.raises(ValueError, match=f"{numbers} pixels have other proportions than the maps' picture of 120 x 90"):
            masks(made, "left", image=torch.rand(2, *size, 3))
    with pytest.raises(ValueError, match="3 pictures do not fit maps of 2"):
        masks(made, "left", image=torch.rand(3, 90, 120, 3))


def test_an_enlarged_picture_has_the_same_masks_enlarged():
    made = maps()
    small = masks(made, "left", "otsu", image=painted(made))
    large = masks(made, "left", "otsu", image=painted(made, (288, 384)))
    assert (torch.nn.functional.interpolate(small[None], scale_factor=3)[0] - large).abs().mean() < 0.005


@pytest.mark.parametrize("scale", [0.7, 1.3, 1.4, 2.75])
def test_maps_are_not_stretched_on_a_scaled_picture(scale):
    """The map's edge at 5/6 of the height and 7/8 of the width stays there, with no edge in the picture to lead it."""
    values = torch.full((1, 2, 48, 64), 0.02)
    values[:, 0, :40, :56] = 0.98
    values[:, 1] = 1 - values[:, 0]
    made = Maps(values, ("corner", "rest"), 2, True, (768, 1024), 16)
    height, width = round(768 * scale), round(1024 * scale)
    mask = masks(made, "corner", "threshold", image=torch.full((1, height, width, 3), 0.5))[0]
    assert mask[height // 3].sum().item() == pytest.approx(width * 7 / 8, abs=2 * scale + 1)
    assert mask[:, width // 3].sum().item() == pytest.approx(height * 5 / 6, abs=2 * scale + 1)


@pytest.mark.parametrize("grid", [(1, 1), (1, 9), (2, 3), (17, 5), (128, 128)])
@pytest.mark.parametrize("method", METHODS)
def test_grids_of_any_shape(grid, method):
    """From a single token to 4 MP, and latents whose last tokens reach beyond the picture."""
    values = torch.rand(1, 3, *grid, generator=torch.Generator().manual_seed(1)).softmax(1)
    height, width = (max(16, 16 * side - 8) for side in grid)
    made = Maps(values, ("a", "b", "c"), 2, True, (height, width), 16)
    image = torch.rand(1, height, width, 3)
    result = masks(made, "*", method, image=image, fill_holes=True, min_area=0.001, grow=2, feather=3.0)
    assert result.shape == (2, height, width) and result.isfinite().all() and 0 <= result.min() and result.max() <= 1
    for value, mask in zip(upsample(values, 16, (height, width), (height, width))[0], masks(made, "*", method)):
        if 0 < mask.mean() < 1:  # it lies where the map is higher
            assert value[mask > 0.5].mean() > value[mask < 0.5].mean() if (mask > 0.5).any() and (mask < 0.5).any() else True


def test_edges_move_farther_with_a_larger_radius():
    """The picture's edge lies beyond the map's: with half of a token's reach the mask does not get there."""
    made = maps()
    image = painted(made).roll(12, 2)
    truth_moved = truth(made, 0).roll(12, 2) >= 0.5
    near, far = (masks(made, "left", image=image, edge_radius=radius) >= 0.5 for radius in (4, 64))
    assert (far != near).float().mean() > 0.005
    assert ((far & truth_moved).sum() / (far | truth_moved).sum()) >= ((near & truth_moved).sum() / (near | truth_moved).sum())


@pytest.mark.parametrize("method", ["soft", "mean", "otsu"])
def test_from_which_presence_on_a_concept_is_there(method):
    """A tenth of a spot: below it methods that stretch a map would show noise."""
    for peak, there in ((0.09, False), (0.11, True)):
        values = torch.full((1, 2, 6, 8), 0.001)
        values[0, 0, 1:4, 2:6] = peak
        values[0, 1] = 1 - values[0, 0]
        made = Maps(values, ("faint", "rest"), 2, True, (96, 128), 16)
        assert bool(masks(made, "faint", "mean").any()) == there
        assert masks(made, "faint", method).any() <= there


def test_pictures_with_alpha_or_one_channel_and_one_for_all():
    made = maps(batch=2)
    image = painted(made)
    alpha = torch.cat([image, torch.rand(2, 96, 128, 1)], 3)
    assert torch.equal(masks(made, "left", image=alpha), masks(made, "left", image=image))
    grey = image[..., :1]
    assert torch.equal(masks(made, "left", image=grey), masks(made, "left", image=grey.expand(-1, -1, -1, 3)))
    assert torch.equal(masks(made, "left", image=image[:1])[0], masks(made, "left", image=image)[0])


def test_each_picture_alone_has_the_same_masks():
    made = maps(batch=3)
    image = painted(made)
    together = masks(made, "*", "soft", image=image)
    apart = [masks(made.of_picture(i), "*", "soft", image=image[i : i + 1]) for i in range(3)]
    assert torch.equal(together, torch.cat(apart))


def test_shapes_come_after_the_cut_and_inversion_last():
    made = maps()
    plain = masks(made, "left", "otsu")
    assert masks(made, "left", "otsu", min_area=0.5).eq(0).all()
    assert masks(made, "left", "otsu", grow=5).sum() > plain.sum() > masks(made, "left", "otsu", grow=-5).sum()
    feathered = masks(made, "left", "otsu", grow=3, feather=10.0)
    assert ((feathered > 0) & (feathered < 1)).any()
    torch.testing.assert_close(masks(made, "left", "otsu", grow=3, feather=10.0, invert=True), 1 - feathered)


def test_what_is_not_found_is_said(caplog):
    with caplog.at_level(logging.INFO):
        assert masks(maps(batch=2), "left, absent", "soft")[1::2].eq(0).all()
        masks(maps(), "left", "otsu", grow=-60)
        assert masks(maps(), "absent", "otsu", invert=True).eq(1).all()
    assert caplog.messages == [
        "Concept Attention: nothing is found of absent in picture 1.",
        "Concept Attention: nothing is found of absent in picture 2.",
        "Concept Attention: min_area or shrinking leaves nothing of left in picture 1.",
        "Concept Attention: nothing is found of absent in picture 1.",
    ]


@pytest.mark.parametrize("draw", [lambda made, **more: masks(made, "*", **more), heatmaps, detections])
def test_progress_is_told_after_each_mask_heatmap_and_place(draw):
    told = []
    draw(maps(batch=2), progress=lambda: told.append(None))
    assert len(told) == 6


@pytest.mark.parametrize("method", ["soft", "mean", "otsu"])
def test_raw_scores_have_masks_without_a_scale(method):
    made = maps()
    raw = Maps(300 * made.values - 200, NAMES, 3, False, made.image_size, 16)
    torch.testing.assert_close(masks(raw, "left, top", method), masks(made, "left, top", method), atol=1e-4, rtol=0)


ONE_ALONE = {"values": torch.rand(1, 1, 6, 8), "names": ("one",), "num_shown": 1, "softmaxed": False}


@pytest.mark.parametrize(
    ("change", "choices", "message"),
    [
        ({}, {"concept": "right"}, "There is no map of 'right'. There are: left, top, absent, rest"),
        ({}, {"method": "threshold", "threshold": 1.5}, "threshold must lie in 0..1, it is 1.5"),
        ({}, {"threshold": float("nan")}, "threshold must lie in 0..1"),
        ({}, {"min_area": -0.1}, "min_area is a share of the picture"),
        ({}, {"edge_radius": -1}, "edge_radius must be 0 or more"),
        ({}, {"feather": -1.0}, "feather must be 0 or more"),
        ({"values": torch.full((1, 4, 6, 8), float("nan"))}, {}, "The maps hold NaN"),
        ({"softmaxed": False}, {"method": "threshold"}, "A threshold needs shares"),
        (ONE_ALONE, {}, '"one" is the only concept .* no mask can tell where it is: name what else is in the picture'),
        (ONE_ALONE, {"method": "winner"}, '"one" is the only concept'),
    ],
)
def test_bad_input(change, choices, message):
    with pytest.raises(ValueError, match=message):
        masks(replace(maps(), **change), **({"concept": "*"} | choices))


def test_a_picture_with_nan_is_refused():
    made = maps()
    image = painted(made)
    image[0, 5, 5, 1] = float("nan")
    with pytest.raises(ValueError, match="image: there is NaN or infinity in it"):
        masks(made, "left", image=image)


def test_presence_is_the_highest_share_over_a_patch():
    values = torch.full((1, 2, 4, 5), 0.1)
    values[0, 0, 1, 1] = 0.9  # one token alone
    values[0, 1, 2:4, 3:5] = torch.tensor([[0.8, 0.6], [0.7, 0.9]])
    made = Maps(values, ("dot", "patch"), 2, True, (64, 80), 16)
    assert presence(made, select(made, "*")).tolist() == [pytest.approx([0.3, 0.75])]
    assert labelled(made) == ["dot 0.30", "patch 0.75"]
    narrow = Maps(values[:, :, :1], ("dot", "patch"), 2, True, (16, 80), 16)
    assert presence(narrow, select(narrow, "dot + patch")).item() == pytest.approx(0.2)


def test_raw_scores_have_no_presence():
    made = maps(softmaxed=False)
    assert labelled(made) == list(NAMES[:3])
    with pytest.raises(ValueError, match="Raw scores have no presence"):
        presence(made, select(made, "*"))


TAKE_AN_IMAGE = {
    "masks": lambda made, image: masks(made, "left", image=image),
    "masks, smooth": lambda made, image: masks(made, "left", image=image, edge_radius=0),
    "heatmaps": heatmaps,
    "segment": segment,
    "detections": lambda made, image: detections(made, "*", image),
    "selected mask": lambda made, image: selected_mask(made, "left", 0.5, image)[0],
    "nothing selected": lambda made, image: selected_mask(made, "", 0.5, image)[0],
}


@pytest.mark.parametrize("take", TAKE_AN_IMAGE.values(), ids=TAKE_AN_IMAGE)
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 96, 128, 0), r"image: a tensor of \[1, 96, 128, 0\] holds no pictures"),
        ((1, 96, 128, 2), r"\[1, 96, 128, 2\] holds no pictures, which are \[pictures, height, width, 1, 3 or 4 channels\]"),
        ((1, 96, 128, 5), "Connect an image as VAE Decode or Load Image gives it"),
        ((96, 128, 3), "holds no pictures"),
        ((1, 96, 128), "holds no pictures"),
        ((), "holds no pictures"),
        ((1, 1, 96, 128, 3), "holds no pictures"),
        ((1, 0, 0, 3), "image: 0 x 0 pixels hold nothing. Connect the picture decoded from the same samples"),
        ((1, 0, 128, 3), "image: 128 x 0 pixels hold nothing"),
        ((0, 96, 128, 3), "image: 0 pictures do not fit maps of 1"),
    ],
)
def test_what_is_no_picture_is_refused_by_all_that_take_one(take, shape, message):
    with pytest.raises(ValueError, match=message):
        take(maps(), torch.rand(shape))


@pytest.mark.parametrize("take", TAKE_AN_IMAGE.values(), ids=TAKE_AN_IMAGE)
@pytest.mark.parametrize("size", [(3, 4), (6, 8), (9, 12)])
def test_the_smallest_pictures_are_taken(take, size):
    take(maps(), torch.rand(1, *size, 3))


@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_taken_away_is_not_in_the_mask(method, image):
    """Where top has more than left, less top leaves nothing of left; top and left less top is left again."""
    made = maps(batch=2)
    made.values[:, 0, 2:, :1] = 0.3
    made.values[:, 1, 2:, :1] = 0.6
    made.values[:, 3] = 1 - made.values[:, :3].sum(1)
    picture = painted(made) if image else None
    kept = made.values.clone()
    less = masks(made, "left - top", method, image=picture)
    left = masks(made, "left", method, image=picture)
    assert less[:, 40:, 8].max() < 0.01 and less[:, 60, 24].min() >= 0.5 and less[:, 60, 72:].max() < 0.01
    if method != "winner":  # it has no notion of how much
        torch.testing.assert_close(masks(made, "left + top - top", method, image=picture), left, atol=2e-2, rtol=0)
    assert torch.equal(made.values, kept)


def test_taken_away_of_raw_scores_and_of_clips():
    made = maps(batch=3)
    clip = replace(made, frames_per_latent=1)
    assert masks(clip, "left - rest", "soft")[:, 60, 8].min() > 0.9 and masks(clip, "left - left", "soft").eq(0).all()
    raw = replace(made, softmaxed=False, values=made.values.log())
    assert masks(raw, "left - rest", "soft")[:, 60, 8].min() > 0.9 and masks(raw, "left - rest", "soft")[:, 4, 4].max() < 0.1
