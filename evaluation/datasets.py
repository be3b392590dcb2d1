"""Pictures with label masks: ImageNet-Segmentation and PascalVOC 2012 in their original files, a folder, drawn scenes."""

import glob
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ..demo_training.scenes import GROUNDS, HELD_OUT, SHAPES, draw_scene, plan_scene

VOID = 255  # pixels that are not judged
BINARY = ["background", "foreground"]


@dataclass(frozen=True)
class Sample:
    """labels: [H, W] uint8, an index into the data set's classes or VOID, 0 for the background. names: label → word, of the rest."""

    id: str
    picture: Image.Image
    labels: np.ndarray
    names: dict[int, str]
    caption: str = ""

    def as_single(self) -> "Sample":
        """Its one class as 1, all else as 0."""
        ((label, name),) = self.names.items()
        labels = np.where(self.labels == VOID, VOID, self.labels == label).astype(np.uint8)
        return replace(self, labels=labels, names={1: name})


class ImageNetSegmentation:
    """gtsegs_ijcv.mat (Guillaumin et al., 2014): pictures, binary masks, and the WordNet synset that each mask is of.

    words: the folder of WordNet 3.0 that holds data.noun. renamed: word → simpler word, for those named there.
    """

    classes, left_out = BINARY, 0

    def __init__(self, path: Path, words: Path, renamed: dict[str, str]):
        import h5py

        if not (words / "data.noun").is_file():
            raise ValueError(f"There is no data.noun in {words}: give the folder of WordNet 3.0 with --wordnet.")
        self.file, self.words, self.renamed = h5py.File(path, "r"), words, renamed
        self.ids = [str(index) for index in range(len(self.file["/value/img"]))]

    def read(self, index: int) -> Sample:
        # MATLAB's arrays arrive with their axes reversed.
        picture = np.array(self._field("img", index)).transpose(2, 1, 0)
        labels = np.array(self.file[self._field("gt", index)[0, 0]]).T
        return Sample(self.ids[index], Image.fromarray(picture).convert("RGB"), (labels > 0).astype(np.uint8), {1: self.name(index)})

    def name(self, index: int) -> str:
        synset = "".join(map(chr, np.array(self._field("id", index)).flatten())).split("_")[0]
        word = first_lemma(self.words / "data.noun", int(synset[1:]))
        return self.renamed.get(word, word)

    @cached_property
    def vocabulary(self) -> list[str]:
        return sorted({self.name(index) for index in range(len(self.ids))})

    def _field(self, field, index):
        return self.file[self.file[f"/value/{field}"][index, 0]]


def first_lemma(data_noun: Path, offset: int) -> str:
    """The first word of the synset that stands at a byte offset of WordNet's data.noun."""
    with open(data_noun, "rb") as file:
        file.seek(offset)
        fields = file.readline().decode().split()
    if not fields or fields[0] != f"{offset:08}":
        raise ValueError(f"No synset starts at {offset} of {data_noun}: ImageNet's synsets are those of WordNet 3.0.")
    return fields[4].replace("_", " ")


class Masks:
    """Pictures and mask files of equal stems; what VOC and a folder have in common."""

    def __init__(self, pictures: Path, masks: Path, stems: list[str], names: dict[int, str], single: bool):
        self.pictures, self.masks, self.names, self.single = pictures, masks, names, single
        self.classes = BINARY if single else ["background", *(names.get(label, str(label)) for label in range(1, max(names) + 1))]
        count = {stem: len(self._named(self._labels(stem))) for stem in stems}
        self.ids = [stem for stem in stems if (count[stem] == 1 if single else count[stem] > 0)]
        self.left_out = len(stems) - len(self.ids)

    def read(self, index: int) -> Sample:
        stem = self.ids[index]
        labels = self._labels(stem)
        with Image.open(picture_file(self.pictures, stem)) as picture:
            sample = Sample(stem, picture.convert("RGB"), labels, self._named(labels))
        if sample.picture.size != labels.shape[::-1]:
            raise ValueError(f"{stem}: the picture has {sample.picture.size} pixels and its mask {labels.shape[::-1]}, width first.")
        return sample.as_single() if self.single else sample

    @property
    def vocabulary(self) -> list[str]:
        return list(self.names.values())

    def _labels(self, stem):
        with Image.open(self.masks / f"{stem}.png") as mask:
            if mask.mode not in ("P", "L"):
                raise ValueError(f"The mask {stem}.png is of mode {mask.mode}: it should hold a number for each pixel (L or P).")
            return np.asarray(mask)

    def _named(self, labels):
        present = [label for label in np.unique(labels).tolist() if label not in (0, VOID)]
        unknown = [label for label in present if label not in self.names]
        if unknown:
            raise ValueError(f"A mask holds the label {unknown[0]}, which has no name.")
        return {label: self.names[label] for label in present}


def picture_file(folder: Path, stem: str) -> Path:
    files = [path for path in folder.glob(f"{glob.escape(stem)}.*") if path.stem == stem]
    if len(files) != 1:
        raise ValueError(f"{folder} holds {len(files)} pictures called {stem}: there should be one for each mask.")
    return files[0]


def pascal_voc(root: Path, names: tuple[str, ...], single: bool) -> Masks:
    """VOCdevkit with VOC2012 in it; its val split."""
    voc = root / "VOC2012"
    split = voc / "ImageSets" / "Segmentation" / "val.txt"
    if not split.is_file():
        raise ValueError(f"There is no {split.relative_to(root)} in {root}: give the folder VOCdevkit.")
    stems = split.read_text().split()
    return Masks(voc / "JPEGImages", voc / "SegmentationClass", stems, dict(enumerate(names, 1)), single)


def folder(root: Path, single: bool) -> Masks:
    """images/ and masks/ with equal stems (masks are .png, 0 is the background, 255 is not judged), and classes.txt: "1 dog"."""
    for part in ("images", "masks", "classes.txt"):
        if not (root / part).exists():
            raise ValueError(f"There is no {part} in {root}: it should hold images, masks and classes.txt.")
    lines = [line.split(maxsplit=1) for line in (root / "classes.txt").read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    stems = sorted(path.stem for path in (root / "masks").glob("*.png"))
    return Masks(root / "images", root / "masks", stems, {int(label): name.strip() for label, name in lines}, single)


class Scenes:
    """Drawn scenes that the demo models have not seen: with all shapes and grounds as classes, or single things."""

    left_out = 0

    def __init__(self, count: int, single: bool):
        self.single = single
        self.words = [*SHAPES, *GROUNDS]
        self.classes = BINARY if single else ["background", *self.words]
        seeds = iter(range(HELD_OUT, 2 * HELD_OUT))
        self.ids = [str(next(seed for seed in seeds if not single or len(plan_scene(seed)[1]) == 1)) for _ in range(count)]

    def read(self, index: int) -> Sample:
        scene = draw_scene(int(self.ids[index]))
        words = sorted({thing.shape for thing in scene.things}) + [scene.ground]
        areas = np.stack([scene.area(word) for word in words])
        numbers = {word: number for number, word in enumerate(self.words, 1)}
        labels = np.array([numbers[word] for word in words], dtype=np.uint8)[areas.argmax(0)]
        picture = Image.fromarray((scene.picture * 255).round().astype(np.uint8))
        named = words[:1] if self.single else words
        sample = Sample(self.ids[index], picture, labels, {numbers[word]: word for word in named}, scene.caption)
        return sample.as_single() if self.single else sample

    @property
    def vocabulary(self) -> list[str]:
        return list(SHAPES) if self.single else self.words


def open_data(kind: str, data: str, names: tuple[str, ...], single: bool, wordnet: str = "", renamed: str = ""):
    """The data set at a path, or, of scenes, so many of them. ValueError says what is not as it should be."""
    if kind == "scenes":
        return Scenes(int(data), single)
    path = Path(data)
    if not path.exists():
        raise ValueError(f"There is no {path}.")
    if kind == "imagenet":
        return ImageNetSegmentation(path, Path(wordnet), simpler_words(Path(renamed)) if renamed else {})
    return pascal_voc(path, names, single) if kind == "voc" else folder(path, single)


def simpler_words(path: Path) -> dict[str, str]:
    """Word → simpler word from a JSON file, in which they may stand under "categories"."""
    words = json.loads(path.read_text(encoding="utf-8"))
    return words.get("categories", words)
