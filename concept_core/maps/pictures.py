"""The picture that belongs to maps."""

import torch
from torch import Tensor

from .maps import Maps

CHANNELS = (1, 3, 4)  # grey, RGB, and RGB with alpha
TOLERANCE = 0.02  # of height / width: upscalers round sizes


def pictures_for(maps: Maps, image: Tensor | None) -> Tensor | list[None]:
    """[B, H, W, 3] float32 on the CPU, one picture for each of the maps' B; without an image as many Nones.

    image: [B or 1, H, W, 1, 3 or 4], the maps' picture or a scaled copy of it; a single one serves all. ValueError prints its
    shape, or both sizes or counts, if it is not, or tells of NaN.
    """
    if image is None:
        return [None] * len(maps.values)
    if image.ndim != 4 or image.shape[3] not in CHANNELS:
        raise ValueError(
            f"image: a tensor of {list(image.shape)} holds no pictures, which are [pictures, height, width, 1, 3 or 4 channels]. "
            "Connect an image as VAE Decode or Load Image gives it."
        )
    if 0 in image.shape[1:3]:
        raise ValueError(
            f"image: {image.shape[2]} x {image.shape[1]} pixels hold nothing. Connect the picture decoded from the same samples, "
            "or look at the node that crops or scales it."
        )
    count = len(maps.values)
    if len(image) not in (1, count):
        raise ValueError(f"image: {len(image)} pictures do not fit maps of {count}. Connect the picture decoded from the same samples.")
    height, width = image.shape[1:3]
    rows, columns = maps.image_size
    if abs(height * columns - width * rows) > TOLERANCE * height * columns:
        raise ValueError(
            f"image: {width} x {height} pixels have other proportions than the maps' picture of {columns} x {rows}. "
            "Connect the picture decoded from the same samples, or a scaled copy of it."
        )
    if not torch.isfinite(image).all():
        raise ValueError("image: there is NaN or infinity in it. Decode it in float32 (--fp32-vae), or with another VAE.")
    return image[..., :3].float().cpu().expand(count, -1, -1, 3)
