"""Original files in, pictures and labels out."""

import drawn_data
import numpy as np
import pytest
from concept_attention.evaluation.datasets import VOID, open_data
from PIL import Image
from scenes import draw_scene


def test_imagenet(opened):
    _, data = opened("imagenet")
    assert data.ids == ["0", "1", "2"] and data.vocabulary == ["circle", "heart", "square"]
    for index, (seed, word) in enumerate(zip(drawn_data.SEEDS, ("heart", "circle", "square"))):
        sample, scene = data.read(index), draw_scene(seed, 192, 256)
        assert sample.names == {1: word} and sample.picture.size == (256, 192)
        assert np.array_equal(np.asarray(sample.picture), drawn_data.picture_of(scene))
        assert np.array_equal(sample.labels, scene.coverage[0] > 0.5)


def test_imagenet_without_the_words(sources, tmp_path):
    with pytest.raises(ValueError, match="no data.noun in .* --wordnet"):
        open_data("imagenet", sources["imagenet"]["data"], (), True, str(tmp_path))
    (tmp_path / "data.noun").write_bytes(b"another version of WordNet\n" * 30)
    with pytest.raises(ValueError, match="WordNet 3.0"):
        open_data("imagenet", sources["imagenet"]["data"], (), True, str(tmp_path)).read(0)


def test_voc_single(opened):
    protocol, data = opened("voc-single")
    assert data.ids == ["2007_0", "2007_1", "2007_2"] and data.left_out == 1
    sample = data.read(1)
    assert sample.names == {1: protocol.names[4]} == {1: "bottle"}
    assert np.array_equal(sample.labels, drawn_data.labels_of(draw_scene(drawn_data.SEEDS[1]), [1]))
    assert abs(np.asarray(sample.picture).astype(int) - drawn_data.picture_of(draw_scene(drawn_data.SEEDS[1]))).mean() < 3


def test_voc_multi(opened):
    _, data = opened("voc-multi")
    assert data.ids == ["2007_0", "2007_1", "2007_2", "2007_3"]
    assert data.classes[0] == "background" and data.classes[5] == "bottle" and len(data.classes) == 21
    sample = data.read(3)
    assert sample.names == {7: "car", 20: "monitor"} and set(np.unique(sample.labels)) == {0, 7, 20, VOID}


def test_folder(opened):
    _, data = opened("folder")
    assert data.ids == ["0", "1"] and data.classes == ["background", "heart", "star", "circle"]
    sample = data.read(1)
    assert sample.names == {3: "circle"} and np.array_equal(
        np.asarray(sample.picture), drawn_data.picture_of(draw_scene(drawn_data.SEEDS[1], 240, 320))
    )


def test_scenes(opened):
    _, data = opened("scenes")
    sample, scene = data.read(0), draw_scene(900000000)
    assert sample.caption == scene.caption
    for label, word in sample.names.items():
        assert data.classes[label] == word
        assert np.array_equal(sample.labels == label, scene.area(word) > 0.5) or (scene.area(word) == 0.5).any()
    _, single = opened("scenes-single")
    assert single.ids[0] == str(drawn_data.SEEDS[0]) and single.read(0).names == {1: "heart"}
    assert all(len(draw_scene(int(id)).things) == 1 for id in single.ids)


def without_a_name(root):
    drawn_data.write_folder(root)
    (root / "classes.txt").write_text("1 heart")


def without_a_picture(root):
    drawn_data.write_folder(root)
    (root / "images" / "0.webp").unlink()


def with_a_coloured_mask(root):
    drawn_data.write_folder(root)
    Image.new("RGB", (320, 240)).save(root / "masks" / "1.png")


@pytest.mark.parametrize(
    ("kind", "make", "message"),
    [
        ("voc", lambda root: None, "There is no .*nowhere"),
        ("voc", lambda root: root.mkdir(), "There is no VOC2012.*val.txt"),
        ("folder", lambda root: root.mkdir(), "There is no images"),
        ("folder", without_a_name, "the label 3, which has no name"),
        ("folder", without_a_picture, "holds 0 pictures called 0"),
        ("folder", with_a_coloured_mask, "of mode RGB: it should hold a number for each"),
    ],
)
def test_folders_that_are_not_as_they_should_be(tmp_path, kind, make, message):
    make(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=message):
        open_data(kind, str(tmp_path / "nowhere"), ("a",), False).read(0)
