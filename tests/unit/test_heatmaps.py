import logging

import pytest
import torch
from concept_attention.concept_core.draw import labels
from concept_attention.concept_core.draw.colormaps import COLORMAPS, colour
from concept_attention.concept_core.draw.heatmaps import ends, heatmaps, scaled
from concept_attention.concept_core.draw.labels import draw_label, draw_legend
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.maps.resize import upsample
from PIL import ImageFont


def maps(values, names=None, softmaxed=True, num_shown=None, image_size=None):
    names = names or tuple(f"c{i}" for i in range(values.shape[1]))
    size = image_size or (values.shape[2] * 16, values.shape[3] * 16)
    return Maps(values, names, num_shown or len(names), softmaxed, size, 16)


def test_a_token_lies_on_its_own_square_of_pixels():
    values = torch.zeros(1, 1, 4, 6)
    values[0, 0, 1, 4] = 1
    picture = upsample(values, 16, (64, 96), (64, 96))[0, 0]
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    assert (picture * y).sum() / picture.sum() == pytest.approx(1.5 * 16, abs=0.1)
    assert (picture * x).sum() / picture.sum() == pytest.approx(4.5 * 16, abs=0.1)


def test_a_padded_grid_is_cropped_not_squeezed():
    """A 56 x 88 pixel picture has 7 x 11 latent pixels and 4 x 6 tokens, of which the last reach beyond the edge."""
    values = torch.zeros(1, 1, 4, 6)
    values[0, 0, 1, 1] = 1
    odd, even = upsample(values, 16, (56, 88), (56, 88)), upsample(values, 16, (64, 96), (64, 96))
    assert torch.equal(odd, even[:, :, :56, :88])
    twice = upsample(values, 16, (56, 88), (112, 176))
    assert twice.shape == (1, 1, 112, 176)
    assert divmod(twice[0, 0].argmax().item(), 176)[0] == pytest.approx(48, abs=2)


def test_upsampling_stays_within_the_maps_range():
    values = torch.rand(2, 3, 5, 4)
    smooth = upsample(values, 16, (80, 64), (80, 64))
    assert (smooth.amax((2, 3)) <= values.amax((2, 3))).all() and (smooth.amin((2, 3)) >= values.amin((2, 3))).all()


def test_scales():
    values = torch.tensor([[[[0.2, 0.4]], [[0.0, 0.8]]]])
    assert scaled(values, *ends(values, "all concepts together")).flatten().tolist() == pytest.approx([0.25, 0.5, 0, 1])
    assert scaled(values, *ends(values, "each concept alone")).flatten().tolist() == pytest.approx([0, 1, 0, 1])
    assert scaled(values, *ends(values, "absolute")).flatten().tolist() == pytest.approx([0.2, 0.4, 0, 0.8])
    with pytest.raises(ValueError, match="turn softmax on"):
        heatmaps(maps(values, softmaxed=False), scale="absolute")


def test_a_flat_map_is_not_blown_up_into_noise(caplog):
    values = 0.5 + 3e-7 * torch.rand(1, 1, 4, 4)
    assert values.std() > 0
    with caplog.at_level(logging.WARNING):
        assert scaled(values, *ends(values, "each concept alone")).eq(0).all()
    assert "the same everywhere" in caplog.text


def test_order_is_picture_by_picture_concept_by_concept_without_background():
    values = torch.arange(6.0).reshape(2, 3, 1, 1).expand(2, 3, 2, 2) / 6
    drawn = heatmaps(maps(values, num_shown=2), colormap="gray", scale="absolute", labels=False)
    assert drawn.shape == (4, 32, 32, 3)
    assert drawn[:, 5, 5, 0].tolist() == pytest.approx([0, 1 / 6, 3 / 6, 4 / 6], abs=2e-4)


def test_overlay_mixes_with_the_picture_and_takes_its_size():
    values = torch.ones(2, 2, 2, 3) * torch.tensor([0.0, 1.0])[None, :, None, None]
    image = torch.rand(2, 64, 96, 3)
    drawn = heatmaps(maps(values), image, "gray", "absolute", opacity=0.25, labels=False)
    assert torch.allclose(drawn[2], 0.75 * image[1], atol=1e-6) and torch.allclose(drawn[3], 0.75 * image[1] + 0.25, atol=1e-6)
    one_for_all = heatmaps(maps(values), image[:1], "gray", "absolute", opacity=0.0, labels=False)
    assert torch.allclose(one_for_all, image[:1].expand(4, -1, -1, -1))
    with pytest.raises(ValueError, match="3 pictures do not fit maps of 2"):
        heatmaps(maps(values), torch.rand(3, 64, 96, 3))


def test_over_grey_the_picture_has_no_colour_and_is_seen_where_the_map_is_low():
    values = torch.tensor([0.0, 0.1, 0.4, 1.0]).reshape(1, 4, 1, 1).expand(1, 4, 4, 6)
    image = torch.rand(1, 64, 96, 3)
    drawn = heatmaps(maps(values), image, "viridis", "absolute", opacity=0.5, labels=False, over_grey=True)
    below = 0.5 * image[0] + 0.5 * 0.55 * (image[0] * torch.tensor([0.299, 0.587, 0.114])).sum(-1, keepdim=True)
    for picture, value, strength in zip(drawn, [0.0, 0.1, 0.4, 1.0], [0.0, 0.125, 0.5, 0.5]):
        shade = colour(torch.tensor(value), "viridis")
        assert torch.allclose(picture, (1 - strength) * below + strength * shade, atol=1e-5)
    plain = heatmaps(maps(values), image, "viridis", "absolute", opacity=0.5, labels=False)
    assert torch.allclose(plain[0], 0.5 * image[0] + 0.5 * colour(torch.tensor(0.0), "viridis"), atol=1e-5)
    alone = [heatmaps(maps(values), None, "viridis", "absolute", labels=False, over_grey=each) for each in (False, True)]
    assert torch.equal(*alone)


@pytest.mark.parametrize(("width", "height"), [(64, 320), (256, 256), (1024, 64), (24, 24)])
def test_labels_fit(width, height):
    picture = torch.full((height, width, 3), 0.5)
    labelled = draw_label(picture.clone(), "a very long concept name indeed")
    ink = (labelled > 0.6).any(0).any(1).nonzero()[:, 0]
    assert labelled.shape == picture.shape and 0 < int(ink[0]) and int(ink[-1]) < width - 1  # no letter is cut at the picture's sides
    assert torch.equal(labelled[height // 2 :], picture[height // 2 :]) or height < 32


def measured(monkeypatch):
    """The lengths of all texts that are measured from now on."""
    lengths, width = [], labels._width
    monkeypatch.setattr(labels, "_width", lambda font, text: lengths.append(len(text)) or width(font, text))
    return lengths


def test_a_long_label_is_measured_no_further_than_it_is_seen(monkeypatch):
    lengths, picture = measured(monkeypatch), torch.full((1024, 1024, 3), 0.5)
    draw_label(picture, "word " * 1000)
    assert picture[:, 900:].max() > 0.9 and max(lengths) < 1000 and len(lengths) < 50


def test_of_a_long_legend_only_the_lines_in_sight_are_measured(monkeypatch):
    lengths, picture = measured(monkeypatch), torch.full((256, 256, 3), 0.5)
    draw_legend(picture, ["word " * 1000] * 1000, torch.rand(1000, 3))
    assert max(lengths) < 300 and len(lengths) < 25 * 50


@pytest.mark.parametrize(("text", "plain"), [("a\nb", "a b"), ("a\r\n\tb ", "a b"), ("a\u2028b", "a b"), ("漢\n字", "漢 字"), ("\n", "")])
def test_a_label_of_several_lines_is_drawn_as_one(text, plain):
    drawn, expected = (draw_label(torch.full((64, 320, 3), 0.5), name) for name in (text, plain))
    assert torch.equal(drawn, expected)


@pytest.mark.parametrize("text", ["i", "a cat", "MWMW" * 9, "a very long concept name indeed, " * 3])
@pytest.mark.parametrize("width", [40, 200, 512])
def test_a_label_has_the_largest_font_that_fits_and_the_most_letters(text, width):
    font = labels._font_that_fits([text], width, 19)
    sizes = [size for size in range(10, 20) if labels._width(ImageFont.load_default(size), text) <= width]
    assert font.size == max(sizes, default=9)
    cut = labels._cut(text, font, width)
    starts = [text[:count] + "…" for count in range(1, len(text) + 1) if labels._width(font, text[:count] + "…") <= width]
    assert cut == (text if labels._width(font, text) <= width else starts[-1])


def test_colormaps_run_from_dark_to_bright():
    assert list(COLORMAPS)[0] == "plasma"
    ends = torch.tensor([0.0, 1.0])
    assert torch.equal((colour(ends, "plasma") * 255).round(), torch.tensor([[13.0, 8, 135], [240, 249, 33]]))
    assert torch.equal(colour(torch.tensor([-1.0, 2.0]), "gray"), colour(ends, "gray"))
    for name in set(COLORMAPS) - {"turbo"}:
        brightness = colour(torch.linspace(0, 1, 50), name) @ torch.tensor([0.299, 0.587, 0.114])
        assert (brightness.diff() > -1e-3).all(), name
