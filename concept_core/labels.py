"""Names in the top left corner of a picture, in white on a dark plate; drawn into the picture that is given."""

import math

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SMALLEST = 9  # pixels; below this letters cannot be read


def draw_label(picture: Tensor, text: str) -> Tensor:
    """[H, W, 3] in 0..1 with `text`, made smaller and then cut with … to fit the width."""
    height, width = picture.shape[:2]
    font = _font_that_fits([text], width, _largest(height, width))
    return _draw(picture, [text], font)


def draw_legend(picture: Tensor, texts: list[str], colours: Tensor) -> Tensor:
    """[H, W, 3] in 0..1 with one line per text, and a patch of its colour [C, 3] before it; what does not fit is cut off below."""
    height, width = picture.shape[:2]
    largest = min(_largest(height, width), height // len(texts) - 2 * _pad_of(SMALLEST))
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
    for size in range(max(largest, SMALLEST), SMALLEST, -1):
        font = ImageFont.load_default(size)
        if max(_width(font, text) for text in texts) <= width:
            return font
    return ImageFont.load_default(SMALLEST)


def _cut(text, font, width):
    if _width(font, text) <= width:
        return text
    while len(text) > 1 and _width(font, text + "…") > width:
        text = text[:-1]
    return text + "…"


def _line_height(font):
    return sum(font.getmetrics()) + _pad(font)


def _width(font, text: str) -> float:
    return font.getlength(text) + 2 * _pad(font)


def _pad(font) -> int:
    return _pad_of(font.size)


def _pad_of(size) -> int:
    return max(2, round(size / 4))
