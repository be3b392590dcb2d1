"""The pictures that belong to maps."""

import torch
from torch import Tensor

from .maps import Maps

CHANNELS = (1, 3, 4)  # grey, RGB, and RGB with alpha
TOLERANCE = 0.02  # of height / width: upscalers round sizes


def room_for(maps: Maps, number: int, *shape: int) -> tuple[Tensor, Tensor]:
    """Unset numbers for so many results of each picture or frame: as they are given out [B·number, ...], and by_picture."""
    room = torch.empty(maps.num_pictures * number, *shape)
    return room, by_picture(maps, room)


def by_picture(maps: Maps, results: Tensor) -> Tensor:
    """[B, number, ...] of results [B·number, ...], of which those of a picture lie together; of a clip each result's frames do, so that
    they are a clip again."""
    if maps.is_clip:
        return results.unflatten(0, (-1, maps.num_pictures)).transpose(0, 1)
    return results.unflatten(0, (maps.num_pictures, -1))


def size_for(maps: Maps, image: Tensor | None) -> tuple[int, int]:
    """Height and width of what is made of maps and of an image, if there is one."""
    return maps.image_size if image is None else (image.shape[1], image.shape[2])


def pictures_for(maps: Maps, image: Tensor | None) -> Tensor | list[None]:
    """[B, H, W, 3] float32 on the CPU, one picture for each of the maps' B, or for each frame of a clip; without an image as many Nones.

    image: [B or 1, H, W, 1, 3 or 4], the maps' picture or a scaled copy of it; a single one serves all. ValueError prints its
    shape, or both sizes or counts, if it is not, or tells of NaN.
    """
    if image is None:
        return [None] * maps.num_pictures
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
    count = maps.num_pictures
    if len(image) not in (1, count):
        what = f"a clip of {count} frames" if maps.is_clip else f"maps of {count}"
        raise ValueError(f"image: {len(image)} pictures do not fit {what}. Connect what is decoded from the same samples.")
    height, width = image.shape[1:3]
    rows, columns = maps.image_size
    if abs(height * columns - width * rows) > TOLERANCE * height * columns:
        raise ValueError(
            f"image: {width} x {height} pixels have other proportions than the maps' picture of {columns} x {rows}. "
            "Connect the picture decoded from the same samples, or a scaled copy of it."
        )
    if not all(torch.isfinite(picture).all() for picture in image):  # one by one: of a clip they are many
        raise ValueError("image: there is NaN or infinity in it. Decode it in float32 (--fp32-vae), or with another VAE.")
    return image[..., :3].float().cpu().expand(count, -1, -1, 3)
