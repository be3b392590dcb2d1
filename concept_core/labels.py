"""Names in the top left corner of a picture, in white on a dark plate; drawn into the picture that is given."""

import math
from bisect import bisect_left

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SMALLEST = 9  # pixels; below this letters cannot be read
MEASURED = 16  # texts, the longest ones; one that is wider all the same is cut


def draw_label(picture: Tensor, text: str) -> Tensor:
    """[H, W, 3] in 0..1 with `text`, made smaller and then cut with … to fit the width."""
    height, width = picture.shape[:2]
    text = _one_line(text, width)
    font = _font_that_fits([text], width, _largest(height, width))
    return _draw(picture, [text], font)


def draw_legend(picture: Tensor, texts: list[str], colours: Tensor) -> Tensor:
    """[H, W, 3] in 0..1 with one line per text, and a patch of its colour [C, 3] before it; what does not fit is cut off below."""
    height, width = picture.shape[:2]
    largest = min(_largest(height, width), height // len(texts) - 2 * _pad_of(SMALLEST))
    rows = 1 + height // SMALLEST
    texts, colours = [_one_line(text, width) for text in texts[:rows]], colours[:rows]
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


def _font_that_fits(texts, width, largest):
    """The largest font up to that size in which every text fits, else the smallest."""
    longest = sorted(texts, key=len)[-MEASURED:]

    def is_too_large(size):
        font = ImageFont.load_default(size)
        return max(_width(font, text) for text in longest) > width

    sizes = range(SMALLEST + 1, max(largest, SMALLEST) + 1)
    return ImageFont.load_default(SMALLEST + bisect_left(sizes, True, key=is_too_large))


def _one_line(text, width):
    """What of a text could be seen: no letter is narrower than a pixel."""
    return " ".join(text[: 2 * width].split())[: width + 1]


def _cut(text, font, width):
    if _width(font, text) <= width:
        return text
    fits = bisect_left(range(1, len(text)), True, key=lambda length: _width(font, text[:length] + "…") > width)
    return text[: max(1, fits)] + "…"


def _line_height(font):
    return sum(font.getmetrics()) + _pad(font)


def _width(font, text: str) -> float:
    return font.getlength(text) + 2 * _pad(font)


def _pad(font) -> int:
    return _pad_of(font.size)


def _pad_of(size) -> int:
    return max(2, round(size / 4))
