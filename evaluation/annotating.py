"""In a process of Ray's: one picture after the other to its labels."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageOps

from ..concept_core.maps.decode import decode
from ..concept_core.maps.presence import presence
from ..concept_core.maps.selection import select
from ..concept_core.storage.files import save_maps
from .datasets import Sample
from .judging import Judge, cut
from .models import Files, load
from .results import Row
from .sheets import as_png, coloured

WHAT = ("coco", "parquet", "labels", "maps")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises over broken files


class Annotating:
    """A picture's path within job.folder → its line and files; of one that cannot be read, why."""

    def __init__(self, job):
        self.job, self.judge = job, Judge(*load(Files(**job.model)), data=None)

    def __call__(self, name: str) -> Row:
        try:
            sample = read(self.job.folder / name, name, self.job.concepts)
        except UNREADABLE as error:
            return {"picture": name, "skipped": f"{type(error).__name__}: {error}"}, {}
        return self.labelled(sample)

    def labelled(self, sample: Sample) -> Row:
        job = self.job
        recording, latent, picture, words = self.judge.record(sample, job.protocol)
        maps = decode(recording, latent, job.protocol.space, **job.protocol.decoding())
        _, labels = cut(maps, words, picture, sample.labels.shape, job.protocol)
        shares = presence(maps, select(maps, "*"))[0].tolist()
        row = {"picture": sample.id, "size": labels.shape, "presence": dict(zip(job.concepts, shares))}
        if {"coco", "parquet"} & set(job.write):
            row["masks"] = encoded(labels, job.concepts)
        files = {}
        if "labels" in job.write:
            files[f"labels/{sample.id}.png"] = as_png(coloured(labels))
        if "maps" in job.write:
            files[f"maps/{sample.id}.safetensors"] = stored(maps)
        return row, files


def read(path: Path, name: str, concepts: tuple[str, ...]) -> Sample:
    """Turned as its camera says, as ComfyUI's Load Image does; labelled with nothing yet."""
    with Image.open(path) as file:
        picture = ImageOps.exif_transpose(file).convert("RGB")
    beside = path.with_suffix(".txt")
    caption = beside.read_text(encoding="utf-8").strip() if beside.is_file() else ""
    return Sample(name, picture, np.zeros(picture.size[::-1], np.uint8), dict(enumerate(concepts, 1)), caption)


def encoded(labels: np.ndarray, concepts: tuple[str, ...]) -> dict[str, dict]:
    """Concept → COCO's run lengths, area and box (x, y, width, height), of those that have any pixel."""
    from pycocotools import mask

    masks = {concept: mask.encode(np.asfortranarray(labels == number, np.uint8)) for number, concept in enumerate(concepts, 1)}
    return {
        concept: {"counts": its["counts"].decode("ascii"), "area": int(mask.area(its)), "bbox": mask.toBbox(its).tolist()}
        for concept, its in masks.items()
        if mask.area(its)
    }


def stored(maps) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "maps.safetensors"
        save_maps(maps, path)
        return path.read_bytes()
