import numpy as np
import pytest
import torch
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.masks.boxes import boxes
from concept_attention.concept_core.masks.instances import ORDERS, instances
from concept_attention.concept_core.masks.masks import masks
from concept_attention.concept_core.masks.things import peaks_of, things_of
from scipy import ndimage

NAMES = ("dog", "cat", "rest")
APART = {"large": ((1, 5), (6, 10), 0.9), "left": ((6, 9), (1, 4), 0.8), "sure": ((7, 9), (8, 10), 1.0)}  # rows, columns, share
TOUCHING = {"one": ((3, 7), (1, 5), 0.9), "other": ((3, 7), (6, 10), 0.95), "between": ((3, 7), (5, 6), 0.7)}


def maps_of(*pictures, **options):
    values = torch.full((len(pictures), 3, 12, 12), 0.01)
    for row, things in zip(values, pictures):
        for rows, columns, share in things.values():
            row[0, slice(*rows), slice(*columns)] = share
    values[:, 2] = 1 - values[:, :2].sum(1)
    return Maps(values, NAMES, 2, True, (192, 192), 16, **options)


def painted(made):
    """A thing in red, on green."""
    dog = torch.nn.functional.interpolate((made.values[:, :1] > 0.5).float(), scale_factor=16)[:, 0, :, :, None]
    return torch.lerp(torch.tensor([0.3, 0.6, 0.3]), torch.tensor([0.9, 0.1, 0.1]), dog)


def share_of(mask, things, name):
    """How much of a mask lies on a thing, in tokens."""
    rows, columns, _ = things[name]
    return mask[16 * rows[0] : 16 * rows[1], 16 * columns[0] : 16 * columns[1]].sum() / max(mask.sum(), 1)


def names_in_order(found, things):
    return [max(things, key=lambda name: share_of(thing.mask, things, name)) for thing in found]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("left to right", ["left", "large", "sure"]),
        ("top to bottom", ["large", "left", "sure"]),
        ("largest first", ["large", "left", "sure"]),
        ("surest first", ["sure", "large", "left"]),
    ],
)
def test_things_apart_are_found_in_order(order, expected):
    assert order in ORDERS
    made = maps_of(APART)
    found = instances(made, "dog", painted(made), order=order)[0]
    assert names_in_order(found, APART) == expected
    for thing, name in zip(found, expected):
        (top, bottom), (left, right), share = APART[name]
        assert thing.found.box == pytest.approx([16 * it for it in (left, top, right - left, bottom - top)], abs=2)
        assert thing.found.presence == pytest.approx(share, abs=1e-5)
        assert thing.area == pytest.approx(256 * (bottom - top) * (right - left), rel=0.05)
    assert [box["label"] for box in boxes([[it.found for it in found]])[0]] == ["dog 1", "dog 2", "dog 3"]
    assert names_in_order(instances(made, "dog", painted(made), order=order, max_count=2)[0], APART) == expected[:2]
    (second,) = instances(made, "dog", painted(made), order=order, max_count=1, skip=1)[0]
    assert names_in_order([second], APART) == expected[1:2] and second.found.label == "dog 2"
    assert instances(made, "dog", order=order, skip=3) == [[]]


@pytest.mark.parametrize("things", [APART, TOUCHING])
@pytest.mark.parametrize("image", [False, True])
def test_together_they_are_the_mask(things, image):
    made = maps_of(things)
    picture = painted(made) if image else None
    whole = masks(made, "dog", "soft", image=picture)[0].numpy()
    assert np.array_equal(np.sum([thing.mask for thing in instances(made, "dog", picture, min_area=0)[0]], 0), whole)


def test_things_that_touch_are_told_apart_where_the_map_falls():
    made = maps_of(TOUCHING)
    for picture in (None, painted(made)):
        one, other = instances(made, "dog", picture)[0]
        assert share_of(one.mask, TOUCHING, "one") > 0.75 and share_of(other.mask, TOUCHING, "other") > 0.75
        assert share_of(one.mask, TOUCHING, "other") < 0.01 and share_of(other.mask, TOUCHING, "one") < 0.01
    assert len(instances(made, "dog", split=0.25)[0]) == 1  # 0.9 falls to 0.7, of 0.94 in all
    assert len(instances(made, "dog", split=0.2)[0]) == 2


def test_where_the_border_of_two_that_touch_follows_the_picture():
    """The map is lowest at column 5, the picture changes at column 6: the border is the picture's."""
    made = maps_of(TOUCHING)
    picture = painted(made)
    picture[:, :, : 16 * 6, 2] = 0.9
    one, other = instances(made, "dog", picture)[0]
    assert one.found.box[0] + one.found.box[2] == pytest.approx(96, abs=4) and other.found.box[0] == pytest.approx(96, abs=4)


def test_each_picture_and_concept_has_its_own():
    made = maps_of(APART, {"left": APART["left"]})
    made.values[:, 1, :4, :4] = 0.97
    first, second = instances(made, "dog, cat", painted(made))
    assert [thing.found.label for thing in first] == ["dog 1", "dog 2", "dog 3", "cat 1"]
    assert [thing.found.label for thing in second] == ["dog 1", "cat 1"]
    alone = instances(maps_of(APART), "dog")[0]
    assert [np.array_equal(a.mask, b.mask) for a, b in zip(alone, instances(maps_of(APART, APART), "dog")[1])] == 3 * [True]


def test_small_things_are_left_out():
    made = maps_of(APART)
    share_of_small, share_of_next = 4 / 144, 9 / 144
    assert names_in_order(instances(made, "dog", painted(made), min_area=1.2 * share_of_small)[0], APART) == ["left", "large"]
    assert len(instances(made, "dog", painted(made), min_area=1.2 * share_of_next)[0]) == 1
    narrow = dict(TOUCHING, one=((4, 5), (3, 5), 0.9), between=((4, 5), (5, 6), 0.7))
    assert len(instances(maps_of(narrow), "dog", min_area=0)[0]) == 2
    (both,) = instances(maps_of(narrow), "dog", min_area=0.03)[0]  # what is too small alone is part of what it touches
    assert both.area > 256 * 17


def test_they_are_at_the_images_size():
    made = maps_of(APART)
    large = torch.nn.functional.interpolate(painted(made).movedim(-1, 1), scale_factor=2).movedim(1, -1)
    for small, big in zip(*(instances(made, "dog", image)[0] for image in (painted(made), large))):
        assert big.mask.shape == (384, 384) and big.found.box == pytest.approx([2 * it for it in small.found.box], abs=3)


def test_what_is_not_there_has_no_things_and_that_is_told():
    told = []
    assert instances(maps_of(APART), "cat", tell=told.append) == [[]]
    assert told == ["nothing is found of cat in picture 1."]


@pytest.mark.parametrize("things", [APART, TOUCHING])
@pytest.mark.parametrize("image", [False, True])
def test_a_number_in_concept_mask_is_the_same_thing_to_the_pixel(things, image):
    made = maps_of(things)
    made.values[:, 1, :2, :4], made.values[:, 2, :2, :4] = 0.97, 0.02
    picture = painted(made) if image else None
    found = instances(made, "dog", picture)[0]
    for number, thing in enumerate(found, 1):
        assert np.array_equal(masks(made, f"dog #{number}", "soft", image=picture)[0], thing.mask) and thing.mask.any()
    owners = things_of(made, 0, picture[0] if image else None)
    for method in ("threshold", "otsu", "winner"):
        whole = masks(made, "dog", method, image=picture)[0].numpy()
        for number in range(1, len(found) + 1):
            assert np.array_equal(masks(made, f"dog #{number}", method, image=picture)[0], np.where(owners == number, whole, 0))
    first, rest = masks(made, "dog #1, dog #2 + dog #3", "threshold", image=picture)
    assert torch.equal(first + rest, masks(made, "dog", "threshold", image=picture)[0])
    second, cat, both, all_of_both = masks(made, "dog #2, cat, dog #2 + cat, dog + cat", "threshold", image=picture)
    assert (both - torch.maximum(second, cat)).abs().sum() < 0.05 * both.sum() and (both * first).sum() == 0
    assert torch.equal(both, all_of_both * both)


def test_where_it_would_take_too_long_touching_things_are_not_told_apart():
    asked = []
    assert things_of(maps_of(TOUCHING), 0, None, lambda pixels: asked.append(pixels)).max() == 0 and asked == [2 * 192 * 192]
    assert things_of(maps_of(APART), 0, None, lambda pixels: False).max() == 3  # which need no telling


def test_a_thing_that_is_not_there_is_told():
    told = []
    assert not masks(maps_of(APART), "dog #4", tell=told.append).any() and told == ["nothing is found of dog #4 in picture 1."]
    assert not masks(maps_of(APART), "cat #1", "threshold", 0, tell=told.append).any()
    two = masks(maps_of(APART, {"left": APART["left"]}), "dog #2", tell=lambda text: None)
    assert two[0].any() and not two[1].any()


def test_what_cannot_be_told_apart_is_refused():
    with pytest.raises(ValueError, match='"dog #2" is one thing already: leave out its number, and choose with skip'):
        instances(maps_of(APART), "dog #2")
    with pytest.raises(ValueError, match='of a clip. Its things are not followed through it: leave out the number in "dog #2"'):
        masks(maps_of(APART, APART, frames_per_latent=4), "dog #2")
    with pytest.raises(ValueError, match="Raw scores cannot tell things apart: turn softmax on"):
        masks(Maps(torch.rand(1, 2, 4, 4), ("dog", "cat"), 2, False, (64, 64), 16), "dog #1", "mean")
    with pytest.raises(ValueError, match="cannot follow a thing from frame to frame: use Concept Mask"):
        instances(maps_of(APART, APART, frames_per_latent=4), "dog")
    with pytest.raises(ValueError, match="turn softmax on in Decode"):
        instances(Maps(torch.rand(1, 2, 4, 4), ("dog", "cat"), 2, False, (64, 64), 16), "dog")
    with pytest.raises(ValueError, match="There is no map of 'bird'"):
        instances(maps_of(APART), "bird")


@pytest.mark.parametrize("seed", range(5))
def test_peaks_are_those_that_remain_if_lower_ones_are_filled_up(seed):
    """The regional maxima of the map's reconstruction from itself less h are its peaks of more than h (Soille's h-maxima)."""
    values = np.random.default_rng(seed).normal(size=(12, 15))
    values = ndimage.gaussian_filter(values, 1.2)
    span = values.max() - values.min()
    for split in (0.05, 0.2, 0.4):
        peaks = peaks_of(values, split)
        marker = values - split * span
        while True:
            grown = np.minimum(ndimage.grey_dilation(marker, (3, 3)), values)
            if np.array_equal(grown, marker):
                break
            marker = grown
        levels = [marker == level for level in np.unique(marker)]
        parts = [ndimage.label(level, np.ones((3, 3))) for level in levels]
        maxima = [labels == place for labels, count in parts for place in range(1, count + 1)]
        highest = [part for part in maxima if marker[ndimage.binary_dilation(part, np.ones((3, 3)))].max() <= marker[part].max()]
        assert peaks.max() == len(highest)
        for part in highest:  # each of them holds the top of a peak of its own
            top = np.where(part, values, -np.inf).argmax()
            assert np.where(peaks == peaks.ravel()[top], values, -np.inf).argmax() == top
    assert peaks_of(np.ones((3, 3)), 0.1).max() == 1
