"""Against scipy, and on masks whose answer can be said beforehand."""

import numpy as np
import pytest
from concept_attention.concept_core.masks import morphology as shapes
from concept_attention.concept_core.masks.morphology import feathered, finish, grown, without_holes, without_small_parts
from scipy import ndimage

RANDOM = [np.random.default_rng(seed).random((40, 57)) < share for seed, share in ((0, 0.02), (1, 0.3), (2, 0.7), (3, 0.97))]
EMPTY, FULL, DOT, BORDER = (np.zeros((9, 13), np.float32) for _ in range(4))
FULL[:] = 1
DOT[4, 6] = 1
BORDER[:, :3] = 1


def disc(radius):
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x**2 + y**2 <= radius**2


def float_of(mask):
    return mask.astype(np.float32)


@pytest.mark.parametrize("mask", RANDOM)
@pytest.mark.parametrize("radius", [1, 2, 5, 9, 70])
def test_growing_and_shrinking_is_morphology_with_a_disc(mask, radius):
    assert np.array_equal(grown(float_of(mask), radius), ndimage.binary_dilation(mask, disc(radius)))
    assert np.array_equal(grown(float_of(mask), -radius), ndimage.binary_erosion(mask, disc(radius), border_value=1))


@pytest.mark.parametrize("radius", [1, 2, 3, 4, 12, 40])
@pytest.mark.parametrize("size", [(31, 22), (9, 300), (300, 9), (1, 50), (50, 1)])
def test_growing_a_grey_mask(radius, size):
    grey = np.random.default_rng(5).random(size, np.float32) ** 9
    expected = ndimage.grey_dilation(grey, footprint=disc(radius), mode="constant", cval=0)
    np.testing.assert_allclose(grown(grey, radius), expected, atol=8e-6)  # half of one of 65,536 levels
    expected = ndimage.grey_erosion(grey, footprint=disc(radius), mode="constant", cval=1)
    np.testing.assert_allclose(grown(grey, -radius), expected, atol=8e-6)


def test_a_dot_grows_to_a_disc_and_back():
    big = np.zeros((41, 41), np.float32)
    big[20, 20] = 1
    grown_dot = grown(big, 12)
    assert grown_dot.sum() == disc(12).sum() and grown_dot[20, 32] == 1 and grown_dot[29, 29] == 0
    assert np.array_equal(grown(grown_dot, -12), big)


class CountedMaxima:
    """numpy, with the bytes counted that go through its maximum."""

    read = 0

    def maximum(self, one, other, **named):
        self.read += one.nbytes
        return np.maximum(one, other, **named)

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.mark.parametrize(("height", "most"), [(1.0, 800), (0.9, 1600)])
def test_the_largest_growth_takes_few_passes(monkeypatch, height, most):
    """Bytes for each pixel: a disc of 1025 rows in passes of 4 bytes for each row would be 3000 or more. A mask of 0 and 1 takes 1 byte,
    a grey one 2."""
    mask = np.zeros((1024, 1024), np.float32)
    mask[500:505, 500:505] = height
    counted = CountedMaxima()
    monkeypatch.setattr(shapes, "np", counted)
    expected = ndimage.distance_transform_edt(mask == 0) <= 512
    np.testing.assert_allclose(grown(mask, 512), height * expected, atol=8e-6)
    assert counted.read <= most * mask.size


@pytest.mark.parametrize("mask", RANDOM)
@pytest.mark.parametrize("pixels", [1.0, 2.5, 20.0])
def test_feather_falls_with_the_distance(mask, pixels):
    expected = np.clip(1 - ndimage.distance_transform_edt(~mask) / pixels, 0, 1)
    np.testing.assert_allclose(feathered(float_of(mask), pixels), expected, atol=1e-6)


def test_feathering_a_grey_mask_never_lowers_it_and_widens_its_core():
    grey = np.tile(np.clip(np.linspace(2, -1, 31, dtype=np.float32), 0, 1), (5, 1))
    soft = feathered(grey, 25.0)
    assert (soft >= grey).all() and np.allclose(np.diff(soft[2, 11:]), -1 / 25, atol=1e-6)
    assert np.array_equal(feathered(grey, 2.0), grey)  # its own edge is softer


def test_each_part_is_feathered_from_its_own_height():
    mask = np.zeros((9, 60), np.float32)
    mask[:, 10:15], mask[:, 40:45], mask[:, 25] = 1, 0.8, 0.3
    soft = feathered(mask, 10.0)[4]
    np.testing.assert_allclose(soft[15:18], [0.9, 0.8, 0.7], atol=1e-6)
    np.testing.assert_allclose(soft[45:48], [0.72, 0.64, 0.56], atol=1e-6)
    assert soft[25] == np.float32(0.3) and soft[27] == 0


@pytest.mark.parametrize("mask", RANDOM)
def test_holes(mask):
    assert np.array_equal(without_holes(float_of(mask)), ndimage.binary_fill_holes(mask))


def test_a_hole_in_a_grey_mask_is_filled_and_a_bay_is_not():
    mask = np.zeros((7, 9), np.float32)
    mask[1:6, 1:6] = 0.8
    mask[3, 3] = 0.2
    mask[5, 4] = 0.1
    filled = without_holes(mask)
    assert filled[3, 3] == 1 and filled[5, 4] == np.float32(0.1) and filled[2, 2] == np.float32(0.8)


@pytest.mark.parametrize("mask", RANDOM)
@pytest.mark.parametrize("least", [1, 2, 7, 100])
def test_parts_under_the_least_area_are_dropped(mask, least):
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = ndimage.sum_labels(mask, labels, range(1, count + 1))
    expected = np.isin(labels, 1 + np.flatnonzero(sizes >= least))
    assert np.array_equal(without_small_parts(float_of(mask), least / mask.size), expected)


def test_grey_parts_count_by_their_pixels_of_at_least_a_half():
    mask = np.zeros((10, 10), np.float32)
    mask[0:3, 0:3] = 0.9
    mask[6:9, 2:9] = 0.1  # a haze with one pixel in it
    mask[7, 7] = 0.6
    expected = mask.copy()
    expected[6:] = 0
    assert np.array_equal(without_small_parts(mask, 0.05), expected)


@pytest.mark.parametrize("step", [lambda m: grown(m, 3), lambda m: grown(m, -3), lambda m: feathered(m, 3.0), without_holes])
def test_empty_and_full_masks_stay(step):
    assert np.array_equal(step(EMPTY), EMPTY) and np.array_equal(step(FULL), FULL)
    assert step(EMPTY).dtype == step(DOT).dtype == np.float32


def test_a_mask_at_the_border():
    assert np.array_equal(grown(BORDER, -2)[0], [1] + [0] * 12)  # not shrunk from the picture's border
    assert np.array_equal(grown(BORDER, 2)[0], [1] * 5 + [0] * 8)
    assert np.array_equal(without_holes(BORDER), BORDER)


def test_a_single_pixel():
    assert grown(DOT, -1).sum() == 0 and grown(DOT, 1).sum() == 5
    assert without_small_parts(DOT, 1 / DOT.size).sum() == 1 and without_small_parts(DOT, 1.5 / DOT.size).sum() == 0
    np.testing.assert_allclose(feathered(DOT, 2.0)[4, 4:9], [0, 0.5, 1, 0.5, 0])


def test_the_order_is_drop_fill_grow_feather():
    ring = np.zeros((60, 60), np.float32)
    ring[20:31, 20:31] = 1
    ring[22:29, 22:29] = 0
    ring[50:53, 50:53] = 1  # a small part: it must go before it grows
    finished = finish(ring, min_area=10 / 3600, fill_holes=True, grow=4, feather=6.0)
    square = np.zeros((60, 60), bool)
    square[20:31, 20:31] = True
    expected = np.clip(1 - ndimage.distance_transform_edt(~ndimage.binary_dilation(square, disc(4))) / 6, 0, 1)
    np.testing.assert_allclose(finished, expected, atol=1e-6)
    assert np.array_equal(finish(ring), ring)
