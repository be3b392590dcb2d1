"""Where a concept is being painted: the maps of a sampling that goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..concepts.names import joined
from ..maps.decode import shares_of
from ..maps.maps import Maps
from ..maps.presence import ABSENT, presence
from ..maps.resize import upsample
from ..maps.selection import gather, select
from ..masks import morphology, thresholds
from ..recording.recording import Recording, Run


@dataclass(frozen=True)
class Shape:
    """How a live map is made a mask: grown or shrunk by `grow`, then faded out over `softness`, both in pixels of the picture."""

    softness: float = 0.0
    grow: int = 0
    invert: bool = False


def check_steerable(recording: Recording, concept: str):
    """ValueError unless a recording can have live maps of a concept, or of several that a plus joins."""
    names = recording.concepts.names
    if recording.summed:
        raise ValueError("Maps of prompt words are there when the sampling has ended, too late to steer it: use Encode Concepts.")
    if len(names) < 2:
        raise ValueError(
            f'"{names[0]}" is the only concept and has nothing to compete with, so nothing tells where it is: name what else is to be in '
            "the picture in Encode Concepts, among the concepts or as background."
        )
    terms = joined(concept, names)
    if terms is None:
        raise ValueError(f'There is no concept {concept!r}. There are: {", ".join(names)}. Write one of them, or "a + b" to join two.')
    if any(term.thing for term in terms):
        raise ValueError(f"{concept!r}: things of a kind are told apart in a picture that is done. Leave out the number here.")


def check_picture(run: Run):
    """ValueError for clips."""
    if run.size[0] > 1:
        raise ValueError(
            "The live maps steer pictures, and this latent is a clip: take Concept Region, Concept Lock and Concept Guidance out."
        )


def live_maps(recording: Recording, run: Run, step: Mapping[str, Tensor], rows: Sequence[int] | slice = slice(None)) -> Maps:
    """Of what one step has heard, space → scores [blocks, B, C, N], for some of its pictures. ValueError if there is NaN in them, or for
    clips.

    The latest step alone tells more than any mean with those before it (docs/steering.md).
    """
    check_picture(run)
    return Maps(
        values=shares_of(recording, step, rows).detach().cpu().unflatten(2, run.grid[1:]),
        names=recording.concepts.names,
        num_shown=recording.concepts.num_shown,
        softmaxed=True,
        image_size=run.image_size,
        pixels_per_token=recording.pixels_per_token,
    )


def live_mask(maps: Maps, concept: str, size: tuple[int, int], shape: Shape = Shape()) -> tuple[Tensor, list[bool]]:
    """[B, h, w] float32 at a latent's size, 1 in the concept's core and 0 far from it; and in which pictures it is.

    Where it is not, by Concept Mask's measure, the mask is 0 whatever the shape is. ValueError for an unknown concept.
    """
    selections = select(maps, concept)
    there = [bool(score >= ABSENT) for score in presence(maps, selections)[:, 0]]
    chosen = upsample(gather(maps.values, selections, True), maps.pixels_per_token, maps.image_size, size)[:, 0]
    pixels = maps.image_size[0] / size[0]
    masks, found = [], []
    for values, present in zip(chosen, there):
        core = thresholds.soft(values, True) if present else None
        found.append(core is not None)
        masks.append(torch.zeros_like(values) if core is None else _shaped(core, shape, pixels))
    return torch.stack(masks), found


def _shaped(mask: Tensor, shape: Shape, pixels: float) -> Tensor:
    finished = morphology.finish(np.asarray(mask), grow=round(shape.grow / pixels), feather=shape.softness / pixels)
    return 1 - torch.from_numpy(finished) if shape.invert else torch.from_numpy(finished)
