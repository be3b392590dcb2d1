"""Names in the top left corner of a picture, in white on a dark plate; drawn into the picture that is given."""

import math
from bisect import bisect_left

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SMALLEST = 9  # pixels; below this letters cannot be read


def draw_label(picture: Tensor, text: str) -> Tensor:
    """[H, W, 3] in 0..1 with `text`, made smaller and then cut with … to fit the width."""
    height, width = picture.shape[:2]
    texts = [_in_sight(text, width)]
    return _draw(picture, texts, _font_that_fits(texts, width, _largest(height, width)))


def draw_legend(picture: Tensor, texts: list[str], colours: Tensor) -> Tensor:
    """[H, W, 3] in 0..1 with one line per text, and a patch of its colour [C, 3] before it; what does not fit is cut off below."""
    height, width = picture.shape[:2]
    largest = min(_largest(height, width), height // len(texts) - 2 * _pad_of(SMALLEST))
    lines = -(-height // _line_height(ImageFont.load_default(SMALLEST)))
    texts = [_in_sight(text, width) for text in texts[:lines]]
    font = _font_that_fits(texts, width - _largest(height, width), largest)
    return _draw(picture, texts, font, colours)


def _draw(picture, texts, font, colours=None):
    line = _line_height(font)
    indent = 0 if colours is None else line - _pad(font)
    room = picture.shape[1] - indent
    texts = [_cut(text, font, room) for text in texts]
    plate = Image.new("L", (math.ceil(indent + max(_width(font, text) for text in texts)), line * len(texts)), 0)
    for row, text in enumerate(texts):
        ImageDraw.Draw(plate).text((indent + _pad(font), row * line + _pad(font) // 2), text, fill=255, font=font)
    ink = torch.from_numpy(np.asarray(plate, dtype=np.float32) / 255)[: picture.shape[0], : picture.shape[1], None]
    corner = picture[: ink.shape[0], : ink.shape[1]]
    corner.mul_(0.35).lerp_(torch.ones_like(corner), ink)
    for row, colour in enumerate([] if colours is None else colours):
        pad = _pad(font)
        picture[row * line + pad : (row + 1) * line - pad, pad : line - pad] = colour
    return picture


def _largest(height, width):
    return round(min(11 + max(height, width) / 64, height / 4))


def _in_sight(text, width):
    """On one line, and no longer than one letter more than fits in the smallest font: what follows is never seen."""
    text = " ".join(text.split())
    return text[: _letters_that_fit(text, ImageFont.load_default(SMALLEST), width) + 1]


def _font_that_fits(texts, width, largest):
    """The largest font up to that size in which every text fits, else the smallest."""
    sizes = range(SMALLEST + 1, max(largest, SMALLEST) + 1)
    fitting = bisect_left(sizes, True, key=lambda size: max(_width(ImageFont.load_default(size), text) for text in texts) > width)
    return ImageFont.load_default(SMALLEST + fitting)


def _cut(text, font, width):
    if _width(font, text) <= width:
        return text
    return text[: max(1, _letters_that_fit(text, font, width, "…"))] + "…"


def _letters_that_fit(text, font, width, end=""):
    """How many of the first letters fit with the end; texts are measured that are at most twice as long."""
    bound = 1
    while bound < len(text) and _width(font, text[:bound] + end) <= width:
        bound *= 2
    counts = range(1, min(bound, len(text)) + 1)
    return bisect_left(counts, True, key=lambda count: _width(font, text[:count] + end) > width)


def _line_height(font):
    return sum(font.getmetrics()) + _pad(font)


def _width(font, text: str) -> float:
    return font.getlength(text) + 2 * _pad(font)


def _pad(font) -> int:
    return _pad_of(font.size)


def _pad_of(size) -> int:
    return max(2, round(size / 4))
