"""What was labelled, as files that others read: each made from the lines of the run, one after the other, and whole or not at all."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from .results import rows_of

ROWS = 10_000  # of a table, at once


def labelled(out: Path) -> Iterator[dict]:
    return (row for row in rows_of(out) if "skipped" not in row)


def write_tables(out: Path, concepts: tuple[str, ...]) -> tuple[int, int]:
    """presence.csv and skipped.csv. How many pictures are in each."""
    count = [0, 0]
    with _text(out / "presence.csv") as there, _text(out / "skipped.csv") as left_out:
        presence, skipped = csv.writer(there), csv.writer(left_out)
        presence.writerow(["picture", "width", "height", *concepts])
        skipped.writerow(["picture", "why"])
        for row in rows_of(out):
            if "skipped" in row:
                skipped.writerow([row["picture"], row["skipped"]])
            else:
                shares = [f"{row['presence'][concept]:.4f}" for concept in concepts]
                presence.writerow([row["picture"], *row["size"][::-1], *shares])
            count["skipped" in row] += 1
    return count[0], count[1]


def write_coco(out: Path, concepts: tuple[str, ...]):
    """masks.json in COCO's format for objects: one annotation for each picture and concept, with its presence as the score."""
    numbers = {concept: number for number, concept in enumerate(concepts, 1)}
    with _text(out / "masks.json") as sink:
        sink.write('{"categories": ' + json.dumps([{"id": number, "name": concept} for concept, number in numbers.items()]))
        sink.write(',\n"images": [')
        _write_list(sink, (_image(number, row) for number, row in enumerate(labelled(out), 1)))
        sink.write('],\n"annotations": [')
        masks = ((number, row, *its) for number, row in enumerate(labelled(out), 1) for its in row["masks"].items())
        _write_list(
            sink,
            (
                {
                    "id": id,
                    "image_id": image,
                    "category_id": numbers[concept],
                    "segmentation": {"size": row["size"], "counts": its["counts"]},
                    "area": its["area"],
                    "bbox": its["bbox"],
                    "iscrowd": 0,
                    "score": round(row["presence"][concept], 4),
                }
                for id, (image, row, concept, its) in enumerate(masks, 1)
            ),
        )
        sink.write("]}\n")


def _image(number, row):
    height, width = row["size"]
    return {"id": number, "file_name": row["picture"], "width": width, "height": height}


def _write_list(sink, items):
    for number, item in enumerate(items):
        sink.write((",\n" if number else "\n") + json.dumps(item))


def write_parquet(out: Path):
    """labels.parquet: one row for each picture and concept, found or not; counts are COCO's run lengths, empty where there is no pixel."""
    import pyarrow
    from pyarrow import parquet

    number, text = pyarrow.int32(), pyarrow.string()
    schema = pyarrow.schema(
        {
            "picture": text,
            "width": number,
            "height": number,
            "concept": text,
            "presence": pyarrow.float32(),
            "area": pyarrow.int64(),
            "counts": text,
        }
    )
    with _whole(out / "labels.parquet") as path, parquet.ParquetWriter(path, schema) as sink:
        rows = _flat(out)
        while some := list(islice(rows, ROWS)):
            sink.write_table(pyarrow.Table.from_pylist(some, schema))


def _flat(out):
    for row in labelled(out):
        height, width = row["size"]
        for concept, share in row["presence"].items():
            its = row["masks"].get(concept, {"area": 0, "counts": ""})
            yield {
                "picture": row["picture"],
                "width": width,
                "height": height,
                "concept": concept,
                "presence": share,
                "area": its["area"],
                "counts": its["counts"],
            }


@contextmanager
def _text(path: Path):
    with _whole(path) as unfinished, open(unfinished, "w", encoding="utf-8", newline="") as sink:
        yield sink


@contextmanager
def _whole(path: Path):
    """A path to write to, which takes its place when all is written."""
    unfinished = path.with_name(path.name + ".unfinished")
    yield unfinished
    unfinished.replace(path)
