import pytest
import torch
from concept_attention.concept_core.draw.labels import draw_legend
from concept_attention.concept_core.draw.palette import colours
from concept_attention.concept_core.draw.segmentation import segment
from concept_attention.concept_core.maps.maps import Maps
from drawn_maps import maps, painted, truth


def colour(place):
    """Of the drawn maps' concepts."""
    return colours(maps().names)[place]


def test_every_pixel_belongs_to_one_concept_or_to_the_background():
    made = maps(batch=2)
    image = painted(made)
    segmentation, masks = segment(made, image, opacity=0.5, labels=False)
    assert segmentation.shape == (2, 96, 128, 3) and masks.shape == (6, 96, 128) and masks.dtype == torch.float32
    masks = masks.unflatten(0, (2, 3))
    for place in range(2):
        area = truth(made, place)
        assert (masks[:, place] - area).abs().mean() < 0.005
        both = (area * masks[:, place]).bool()
        red, green, blue = image[both].unbind(-1)
        grey = 0.55 * (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
        below = 0.5 * image[both] + 0.5 * grey
        torch.testing.assert_close(segmentation[both], 0.5 * below + 0.5 * colour(place).expand_as(below))
    left = masks.sum(1) == 0
    assert masks.sum(1).max() == 1 and torch.equal(segmentation[left], image[left])


def test_without_a_picture_colours_are_full_and_the_background_is_black():
    segmentation, masks = segment(maps(), labels=False)
    assert torch.equal(segmentation[0, 90, 5], colour(0)) and segmentation[0, 60, 70].eq(0).all()
    all_shown, masks = segment(maps(num_shown=4), labels=False)
    assert masks.sum(0).eq(1).all() and torch.equal(all_shown[0, 60, 70], colour(3))


def test_the_legend_has_each_concepts_colour():
    plain, _ = segment(maps(), painted(maps()), labels=False)
    drawn, _ = segment(maps(), painted(maps()), labels=True)
    changed = (drawn != plain).any(-1)[0]
    rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
    assert rows.min() == 0 and columns.min() == 0 and rows.max() < 80
    for place in range(3):
        assert (drawn[0, : rows.max(), :20] == colour(place)).all(-1).any()


@pytest.mark.parametrize(("width", "height", "count"), [(64, 320, 5), (256, 256, 12), (1024, 64, 3), (24, 24, 2), (256, 256, 40)])
def test_legends_fit(width, height, count):
    picture = torch.full((height, width, 3), 0.5)
    drawn = draw_legend(picture.clone(), [f"concept {i} 0.5" for i in range(count)], torch.rand(count, 3))
    assert drawn.shape == picture.shape and picture.eq(0.5).all()
    assert not torch.equal(drawn, picture)


def test_more_concepts_than_colours():
    values = torch.rand(1, 30, 4, 4)
    segmentation, masks = segment(Maps(values, tuple(f"c{i}" for i in range(30)), 30, True, (64, 64), 16))
    assert masks.shape == (30, 64, 64) and masks.sum(0).eq(1).all()
