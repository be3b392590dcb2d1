"""A folder of drawn scenes to labels, killed on the way."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from concept_attention.concept_core.maps.presence import presence
from concept_attention.concept_core.maps.selection import select
from concept_attention.concept_core.storage.files import load_maps
from concept_attention.evaluation.annotate import Names, main, pictures_in
from concept_attention.evaluation.results import rows_of
from PIL import Image
from scenes import GROUNDS, SHAPES, draw_scene

SCRIPT = Path(__file__).parents[3] / "dev" / "run_evaluation.py"
SEEDS = range(900000000, 900000012)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dozen scenes with captions in two folders, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for place, seed in enumerate(SEEDS):
        path = folder / str(place % 2) / f"{seed}.png"
        path.parent.mkdir(exist_ok=True)
        scene = draw_scene(seed, 128, 160)
        Image.fromarray((scene.picture * 255).round().astype(np.uint8)).save(path)
        path.with_suffix(".txt").write_text(scene.caption)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    return folder


@pytest.fixture(scope="module")
def out(folder, cluster):
    """What comes of it when the command is killed behind four pictures and run again."""
    out, words = folder / "labels", ["--concepts", ", ".join(SHAPES), "--background", *GROUNDS]
    options = ["--set", "resize=[]", "noise=0.2", "samples=1", "--write", "coco", "parquet", "labels", "maps"]
    arguments = [str(folder), *words, *options, "--out", str(out), "--processes", "1", "--address", cluster.address]
    command = subprocess.Popen([sys.executable, SCRIPT, "annotate", *arguments])
    while command.poll() is None and sum(1 for _ in rows_of(out)) < 4:
        time.sleep(0.05)
    command.kill()
    assert command.wait() == -signal.SIGKILL and 4 <= len(list(rows_of(out))) < 13
    assert main(arguments) == 0
    return out


def test_nothing_is_done_twice_or_by_half(folder, out):
    names = sorted(path.relative_to(folder).as_posix() for path in [*folder.glob("?/*.png"), folder / "broken.jpg"])
    assert sorted(row["picture"] for row in rows_of(out)) == names and len(list(out.glob("part-*.jsonl"))) == 2
    assert not list(out.rglob("*.unfinished"))
    with open(out / "skipped.csv") as file:
        (skipped,) = csv.DictReader(file)
    assert skipped["picture"] == "broken.jpg" and "cannot identify image" in skipped["why"]


def test_labels_lie_on_what_is_drawn(folder, out):
    right = []
    for path in folder.glob("?/*.png"):
        scene = draw_scene(int(path.stem), 128, 160)
        labels = np.asarray(Image.open(out / "labels" / f"{path.relative_to(folder)}.png"))
        truth = np.zeros_like(labels)
        for thing, area in zip(scene.things, scene.coverage):
            truth[area > 0.5] = SHAPES.index(thing.shape) + 1
        right.append((labels == truth).mean())
    assert len(right) == 12 and np.mean(right) > 0.97, right


def test_run_lengths_are_read_as_the_label_pictures(out):
    """By COCO's own code, and from the table."""
    from pyarrow import parquet
    from pycocotools import mask
    from pycocotools.coco import COCO

    coco, rows = COCO(str(out / "masks.json")), parquet.read_table(out / "labels.parquet").to_pylist()
    assert len(rows) == 12 * len(SHAPES) and len(coco.imgs) == 12
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    by_place = {(row["picture"], row["concept"]): row for row in rows}
    for image in coco.imgs.values():
        labels = np.asarray(Image.open(out / "labels" / f"{image['file_name']}.png"))
        found = {annotation["category_id"]: annotation for annotation in coco.imgToAnns[image["id"]]}
        assert set(found) == set(np.unique(labels).tolist()) - {0} and labels.shape == (image["height"], image["width"]) == (128, 160)
        for number, name in names.items():
            row = by_place[image["file_name"], name]
            assert row["area"] == (labels == number).sum()
            if number in found:
                assert np.array_equal(coco.annToMask(found[number]), labels == number)
                assert np.array_equal(mask.decode({"size": [128, 160], "counts": row["counts"]}), labels == number)
                assert found[number]["area"] == row["area"] and found[number]["score"] == pytest.approx(row["presence"], abs=1e-4)


def test_presence_tells_what_is_there(folder, out):
    with open(out / "presence.csv") as file:
        table = {row["picture"]: row for row in csv.DictReader(file)}
    for path in folder.glob("?/*.png"):
        there = {thing.shape for thing in draw_scene(int(path.stem), 128, 160).things}
        row, maps = table[path.relative_to(folder).as_posix()], load_maps(out / "maps" / f"{path.relative_to(folder)}.safetensors")
        assert (row["width"], row["height"]) == ("160", "128") and maps.names[: maps.num_shown] == tuple(SHAPES)
        shares = {shape: float(row[shape]) for shape in SHAPES}
        assert min(shares[shape] for shape in there) > 0.2 > max(shares[shape] for shape in SHAPES if shape not in there)
        assert list(shares.values()) == pytest.approx(presence(maps, select(maps, "*"))[0].tolist(), abs=1e-4)


def test_what_came_since_is_labelled_too(folder, out):
    about = json.loads((out / "run.json").read_text())
    assert about["pictures"]["concepts"] == list(SHAPES)
    assert not [name for name in pictures_in(folder, out) if name.startswith("labels")]
    done = Names(row["picture"] for row in rows_of(out))
    assert len(done) == 13 and all(name in done for name in pictures_in(folder, out))
    assert "0/new.png" not in done and "x" not in Names([])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--concepts", "dog, cat"], "There is no folder"),
        ([".", "--concepts", "dog", "--set", "background=[]"], '"dog" has nothing to compete with'),
        ([".", "--concepts", "dog, cat", "--set", "softmax=false"], "Raw scores have no presence"),
        ([".", "--concepts", "dog, cat"], "There is no picture in"),
    ],
)
def test_what_cannot_be_labelled_says_so(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=message):
        main([*arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
