"""Contact sheets: picture, true labels, the map of each concept, and what was made of them, side by side."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..concept_core.draw.heatmaps import heatmaps
from ..concept_core.draw.labels import draw_label
from ..concept_core.draw.palette import PALETTE
from .datasets import VOID, Sample

SIDE = 192
ROWS = 8
MAX_COLUMNS = 12


class Strip:
    """One picture's row. Of several variants the last one's maps are shown, and a few others' labels."""

    def __init__(self, sample: Sample, classes: list[str]):
        self.sample, self.classes = sample, classes
        self.tiles = [tile(sample.picture, sample.id)]
        self.maps, self.predictions = [], []

    def look(self, variant, maps, picture, labels, predicted):
        if len(self.tiles) == 1:
            self.tiles.append(tile(coloured(labels), "truth"))
        pictures = heatmaps(maps, picture, labels=True)
        self.maps = [tile(as_picture(heatmap)) for heatmap in pictures]
        self.predictions.append(tile(coloured(predicted), variant or "predicted"))

    def row(self) -> Image.Image:
        tiles = (self.tiles + self.maps + self.predictions[::-1])[:MAX_COLUMNS]
        row = Image.new("RGB", (SIDE * MAX_COLUMNS, SIDE), "white")
        for place, picture in enumerate(tiles):
            row.paste(picture, (place * SIDE, 0))
        return row.crop((0, 0, SIDE * len(tiles), SIDE))


def tile(picture: Image.Image, text: str = "") -> Image.Image:
    small = picture.resize((SIDE, SIDE), Image.Resampling.NEAREST if picture.mode == "P" else Image.Resampling.BILINEAR).convert("RGB")
    return as_picture(draw_label(torch.from_numpy(np.asarray(small, dtype=np.float32) / 255), text)) if text else small


def coloured(labels: np.ndarray) -> Image.Image:
    """0 is black, VOID white."""
    picture = Image.fromarray(labels, mode="P")
    colours = [(0, 0, 0)] + [tuple(bytes.fromhex(PALETTE[i % len(PALETTE)])) for i in range(VOID - 1)] + [(255, 255, 255)]
    picture.putpalette([channel for colour in colours for channel in colour])
    return picture


def as_picture(picture: torch.Tensor) -> Image.Image:
    return Image.fromarray((picture.clamp(0, 1) * 255).round().byte().numpy())


def as_png(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def lay_out(strips: list[Path], out: Path):
    """Pages of ROWS strips each."""
    for number, first in enumerate(range(0, len(strips), ROWS), 1):
        rows = [Image.open(path) for path in strips[first : first + ROWS]]
        page = Image.new("RGB", (max(row.width for row in rows), SIDE * len(rows)), "white")
        for place, row in enumerate(rows):
            page.paste(row, (0, place * SIDE))
        page.save(out / f"sheet_{number:03}.jpg", quality=88)
