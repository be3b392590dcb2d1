"""Drawn scenes in the layouts of the real data sets' original files."""

import h5py
import numpy as np
from PIL import Image
from scenes import draw_scene

SEEDS = [900000003, 900000014, 900000026]  # one thing each
WORDS = ["heart", "circle", "foursquare"]  # the last is renamed
TWO_THINGS = 900000000


def picture_of(scene):
    return (scene.picture * 255).round().astype(np.uint8)


def labels_of(scene, numbers):
    """A number for each thing, 0 for the ground, 255 where the drawing is soft."""
    labels = np.zeros(scene.coverage.shape[1:], np.uint8)
    for area, number in zip(scene.coverage, numbers):
        labels[area > 0.5] = number
        labels[(area > 0.02) & (area < 0.98)] = 255
    return labels


def write_wordnet(folder):
    """A data.noun with WORDS; word → the byte that its synset starts at."""
    lines, offsets = "  1 licence text  \n", {}
    for word in WORDS:
        offsets[word] = len(lines)
        lines += f"{offsets[word]:08} 05 n 02 {word} 0 other_word 0 001 @ 00000000 n 0000 | drawn  \n"
    (folder / "data.noun").write_bytes(lines.encode())
    return offsets


def write_gtsegs(path, offsets):
    """As MATLAB writes a struct array to HDF5: references to arrays with their axes reversed, text as numbers."""
    with h5py.File(path, "w") as file:
        fields = {name: file.create_dataset(f"/value/{name}", (len(SEEDS), 1), dtype=h5py.ref_dtype) for name in ("img", "gt", "id")}
        for index, (seed, offset) in enumerate(zip(SEEDS, offsets.values())):
            scene = draw_scene(seed, 192, 256)
            arrays = {
                "img": picture_of(scene).transpose(2, 1, 0),
                "mask": (scene.coverage[0] > 0.5).astype(np.uint8).T,
                "id": np.array([[ord(letter)] for letter in f"n{offset:08}_{index}"], dtype=np.uint16),
            }
            stored = {name: file.create_dataset(f"/#refs#/{name}{index}", data=array) for name, array in arrays.items()}
            cell = file.create_dataset(f"/#refs#/gt{index}", (1, 1), dtype=h5py.ref_dtype)
            cell[0, 0] = stored["mask"].ref
            for name, target in (("img", stored["img"]), ("gt", cell), ("id", stored["id"])):
                fields[name][index, 0] = target.ref


def write_voc(root):
    """Four pictures in val.txt: three of one class, 5, and one of the classes 7 and 20; a picture and mask more that are not."""
    voc = root / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True)
    for index, seed in enumerate([*SEEDS, TWO_THINGS, SEEDS[0]]):
        scene = draw_scene(seed)
        Image.fromarray(picture_of(scene)).save(voc / "JPEGImages" / f"2007_{index}.jpg", quality=95)
        mask = Image.fromarray(labels_of(scene, [5] if len(scene.things) == 1 else [7, 20]), mode="P")
        mask.putpalette([(37 * i) % 256 for i in range(768)])
        mask.save(voc / "SegmentationClass" / f"2007_{index}.png")
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("".join(f"2007_{index}\n" for index in range(4)))


def write_folder(root):
    """Two pictures, of the classes 1 and 3."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for index, (seed, number) in enumerate(zip(SEEDS, (1, 3))):
        scene = draw_scene(seed, 240, 320)
        Image.fromarray(picture_of(scene)).save(root / "images" / f"{index}.webp", lossless=True)
        Image.fromarray(labels_of(scene, [number])).save(root / "masks" / f"{index}.png")
    (root / "classes.txt").write_text("1 heart\n2 star\n3  circle\n")
