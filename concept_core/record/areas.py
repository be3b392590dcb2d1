"""Which part of a picture or clip each conditioning is for, and the mean of their scores where several overlap."""

from dataclasses import dataclass

import torch
from comfy.samplers import finalize_default_conds, get_area_and_mult
from torch import Tensor

from ..recording.grid import Size
from ..recording.grid import grid as grid_of

SIDES = (-3, -2, -1)  # frames, rows, columns
WEIGHED_BY = ("area", "strength", "mask", "mask_strength", "timestep_start", "timestep_end", "default", "uuid")


@dataclass
class Area:
    """What one conditioning covers, in frames and pixels of the latent.

    start: frame, row and column of its first corner. weight: [B, t, h, w], how much it counts at each latent pixel of its area.
    even: known to count alike and above 0 at all of them, without a look at the weight.
    """

    start: Size
    weight: Tensor
    even: bool = False

    @property
    def size(self) -> Size:
        return tuple(self.weight.shape[1:])


def is_whole(area: Area, size: Size) -> bool:
    """Whether an area alone is all of the picture, so that its weight does not matter."""
    return area.size == tuple(size) and (area.even or bool((area.weight > 0).all()))


def average(pieces: list[tuple[Area, Tensor]], size: Size, patches: Size) -> Tensor:
    """[..., B, C, N] of the whole picture from the scores [..., B, C, n] of its parts.

    size: of the whole latent. patches: of it in one token. A token's score counts at all latent pixels of its patch; the
    whole picture's token takes the weighted mean over its own patch. Where no part lies the scores are 0, so that
    all concepts share alike.
    """
    padded = [tokens * patch for tokens, patch in zip(grid_of(size, patches), patches)]
    first = pieces[0][1]
    total = first.new_zeros(*first.shape[:-1], *padded)
    weights = first.new_zeros(first.shape[-3], 1, *padded)
    for area, scores in pieces:
        by_pixel = scores.unflatten(-1, grid_of(area.size, patches))
        for side, patch in zip(SIDES, patches):
            by_pixel = by_pixel.repeat_interleave(patch, side)
        frames, rows, columns = area.size
        by_pixel = by_pixel[..., :frames, :rows, :columns] * area.weight[:, None].to(scores)
        place = (..., *(slice(start, start + side) for start, side in zip(area.start, area.size)))
        total[place] += by_pixel
        weights[place] += area.weight[:, None].to(scores)
    total, weights = (sum_patches(x, patches) for x in (total, weights))
    return torch.where(weights > 0, total / weights.clamp(min=1e-12), 0).flatten(-3)


def sum_patches(x: Tensor, patches: Size) -> Tensor:
    """[..., t, h, w] from [..., t · patch, h · patch, w · patch] with each side's own patch."""
    for side, patch in zip(SIDES, patches):
        x = x.unflatten(side, (-1, patch)).sum(side)
    return x


def areas_of(conditionings, x_in, timestep) -> dict:
    """uuid → Area of every conditioning that is active at `timestep`, with the weights that ComfyUI gives it.

    ValueError where ComfyUI gives it weights that do not fit its area.
    """
    plain = {c["uuid"]: {"model_conds": {}, **{key: c[key] for key in WEIGHED_BY if key in c}} for c in conditionings}
    defaults = [c for c in plain.values() if "default" in c]
    weighed = [get_area_and_mult(c, x_in, timestep) for c in plain.values() if "default" not in c]
    to_run = {None: [(one, 0) for one in weighed if one is not None]}
    if defaults:
        finalize_default_conds(None, to_run, [defaults], x_in, timestep, {})
    return {one.uuid: as_area(one, plain[one.uuid]) for one, _ in to_run[None]}


def as_area(weighed, plain) -> Area:
    if weighed.mult.shape[2:] != weighed.input_x.shape[2:]:
        raise ValueError(
            "A default conditioning has an area of its own, and the other conditionings leave some of the picture to it: ComfyUI cannot "
            "sample that, with Concept Attention or without. Take the area out of the default conditioning."
        )
    start = weighed.area[len(weighed.area) // 2 :] if weighed.area is not None else ()
    even = not plain.keys() & {"area", "mask", "default"} and plain.get("strength", 1.0) > 0
    weight = weighed.mult[:, 0]
    weight = weight.reshape(len(weight), -1, *weight.shape[-2:])  # with a frame, which not all models' latents have
    return Area((0, 0, 0, *start)[-3:], weight, even)
