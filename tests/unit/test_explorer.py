import base64
import json

import numpy as np
import pytest
import torch
from concept_attention.concept_core.draw.explorer import DRAWN_TOGETHER, drawn_size, explorable, selected_mask, with_edges, with_things
from concept_attention.concept_core.masks.masks import masks
from concept_attention.concept_core.masks.pixels import at_pixels
from concept_attention.concept_core.masks.things import things_of
from drawn_maps import maps, painted


def unpacked(about):
    levels = np.frombuffer(base64.b64decode(about["values"]), "<u2").reshape(about["shape"])
    return torch.from_numpy(about["low"] + levels / 65535 * (about["high"] - about["low"]))


@pytest.mark.parametrize("shares", [True, False])
def test_the_browser_gets_the_maps_at_their_own_size(shares):
    made = maps(batch=2, softmaxed=shares)
    if not shares:
        made.values.mul_(90).sub_(40)
    about = json.loads(json.dumps(explorable(made)))
    torch.testing.assert_close(unpacked(about).float(), made.values, rtol=0, atol=1e-5 if shares else 2e-3)
    assert about["names"] == list(made.names) and about["shown"] == 3 and (about["presence"] is None) == (not shares)
    assert len(about["values"]) == 4 * -(-2 * made.values.numel() // 3)  # base64 of two bytes each


def mask(*arguments):
    return selected_mask(*arguments)[0]


@pytest.mark.parametrize("text", ["left", "left + top", "left, top", "*", "Left + TOP"])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6])
def test_the_mask_is_that_of_concept_mask(text, threshold):
    made = maps(batch=2)
    for image in (None, painted(made), painted(made, (192, 256))):
        expected = masks(made, text, "threshold", threshold, image, min_area=0.001)
        assert torch.equal(mask(made, text, threshold, image), expected) and expected.any()


def test_raw_scores_are_cut_between_their_lowest_and_highest():
    made = maps(softmaxed=False)
    made.values.mul_(90).sub_(40)
    assert torch.equal(mask(made, "left", 0.5), mask(maps(), "left", (0.95 + 0.01) / 2))
    made.values[:, 0] = 7.0
    assert mask(made, "left", 0.5).eq(0).all()


@pytest.mark.parametrize(
    ("text", "known", "told"),
    [
        (" ", "", ["no concept is selected in the Explorer, so its mask is empty."]),
        ("cat", "", ["there is no map of cat, selected in the Explorer.", "no concept is selected in the Explorer, so its mask is empty."]),
        ("left + cat", "left", ["there is no map of cat, selected in the Explorer."]),
        ("cat, left + Top, dog", "left + Top", ["there is no map of cat, dog, selected in the Explorer."]),
        ("absent", "absent", ["nothing is found of absent in picture 1."]),
    ],
)
def test_what_is_not_there_is_left_out_and_told(text, known, told):
    made, said = maps(), []
    found, names = selected_mask(made, text, 0.5, None, said.append)
    assert names == known and said == told
    assert torch.equal(found, masks(made, known, "threshold", min_area=0.001) if known else torch.zeros(1, 96, 128))


def test_an_image_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="other proportions"):
        mask(maps(), "left", 0.5, torch.zeros(1, 96, 96, 3))


def test_the_browser_gets_the_maps_with_the_pictures_edges():
    made = maps(batch=2)
    image = painted(made)
    sent = list(with_edges(made, image))
    assert len(sent) == 2
    for number, levels in enumerate(sent):
        values = made.values[number]
        low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
        torch.testing.assert_close(low + levels / 255 * (high - low), at_pixels(made, values, image[number], 32), atol=0.002, rtol=0)


def test_the_browser_gets_whose_each_pixel_is():
    made = maps(batch=2)
    for image in (None, painted(made), painted(made, (192, 256))):
        sent = list(with_things(made, image))
        assert len(sent) == 2
        for number, owners in enumerate(sent):
            for place in range(4):
                expected = things_of(made.of_picture(number), place, None if image is None else image[number])
                assert np.array_equal(owners[place], expected)
        assert [int(owners.max()) for owners in sent[0]] == [1, 1, 0, 1]
    large = painted(made, (1536, 2048))
    owners, whole = next(with_things(made, large)), things_of(made.of_picture(0), 1, large[0])
    rows, columns = ((np.arange(side) + 0.5) * 8 / 3 for side in owners.shape[1:])
    assert owners.shape == (4, 576, 768) and np.array_equal(owners[1], whole[np.ix_(rows.astype(int), columns.astype(int))])
    assert not list(with_things(maps(softmaxed=False), None))


@pytest.mark.parametrize(
    ("size", "count", "drawn"),
    [((256, 192), 4, (256, 192)), ((1024, 2048), 5, (384, 768)), ((1, 4000), 1, (1, 768)), ((768, 768), 100, None)],
)
def test_they_are_no_larger_than_what_is_drawn_and_bounded_together(size, count, drawn):
    height, width = drawn_size(size, count)
    assert drawn in ((height, width), None) and height * width * count <= 1.01 * DRAWN_TOGETHER
    assert drawn or height * width * count >= 0.99 * DRAWN_TOGETHER
