"""A concept's name in the top left corner of a picture."""

import math

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SMALLEST = 9  # pixels; below this letters cannot be read


def draw_label(picture: Tensor, text: str) -> Tensor:
    """[H, W, 3] in 0..1 with `text` in white on a dark plate, made smaller and then cut with … to fit the width."""
    height, width = picture.shape[:2]
    font, text = _fit(text, width, round(min(11 + max(height, width) / 64, height / 4)))
    pad = _pad(font)
    plate = Image.new("L", (math.ceil(_width(font, text)), sum(font.getmetrics()) + pad), 0)
    ImageDraw.Draw(plate).text((pad, pad // 2), text, fill=255, font=font)
    ink = torch.from_numpy(np.asarray(plate, dtype=np.float32) / 255)[:height, :width, None]
    labelled = picture.clone()
    corner = labelled[: ink.shape[0], : ink.shape[1]]
    corner.mul_(0.35).lerp_(torch.ones_like(corner), ink)
    return labelled


def _fit(text: str, width: int, largest: int):
    """The largest font up to that size in which the text fits, and the text, shortened if none does."""
    for size in range(max(largest, SMALLEST), SMALLEST - 1, -1):
        font = ImageFont.load_default(size)
        if _width(font, text) <= width:
            return font, text
    while len(text) > 1 and _width(font, text + "…") > width:
        text = text[:-1]
    return font, text + "…"


def _width(font, text: str) -> float:
    return font.getlength(text) + 2 * _pad(font)


def _pad(font) -> int:
    return max(2, round(font.size / 4))
