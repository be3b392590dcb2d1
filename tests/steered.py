"""Live maps of the tiny models, whose weights are random: a temperature has to make contrast, and a fixture masks that are sharp."""

from functools import cache

import numpy as np
import pytest
import torch
from concept_attention.concept_core.maps.resize import upsample
from concept_attention.concept_core.maps.selection import gather, select
from concept_attention.concept_core.masks import morphology
from concept_attention.concept_core.record import live
from concept_attention.concept_core.recording.recipe import Recipe
from concept_attention.concept_core.steer.live import Shape, live_maps, live_mask
from kinds import made

SIZE = (8, 12)
TAKES_MANY_STEPS = pytest.param("dpm_adaptive", marks=pytest.mark.every)


def changed(conditioning, **options):
    return [[context, {**values, **options}] for context, values in conditioning]


def contrast(name: str) -> tuple[float, str]:
    """(temperature, concept) with which the first step's masks of a tiny model vary most; sharp ones come of maps that do."""
    return _contrast(name, live.live_mask is sharp_mask)


@cache
def _contrast(name, sharp):
    kind = made(name)
    patched, recording = kind.record()
    kind.sample(patched, steps=1, batch=2)
    (run,) = recording.runs
    (step,) = run.steps.values()
    scores = step[recording.spaces[0]]
    apart = float((scores - scores.mean(2, keepdim=True)).std())
    varied = {}
    for temperature in (apart * factor for factor in (0.01, 0.1, 0.3, 1.0, 3.0)):
        recording.recipe = Recipe(temperature=temperature)
        for concept in ("a", "b", "c", "a + b", "a + c", "b + c"):
            maps = live_maps(recording, run, step)
            mask, found = live_mask(maps, concept, run.size[1:])
            spread = mask.flatten(1).std(1).amin()
            if sharp:
                low, high = ends(shares(maps, concept, run.size[1:]))
                spread = (high - low).amin() * (spread > 0.01)
            varied[temperature, concept] = float(spread) if all(found) else 0.0
    return max(varied, key=lambda choice: varied[choice])


def recorded(kind, model=None):
    """(patched model, recording) whose maps of random weights have some contrast."""
    patched, recording = kind.record(model)
    recording.recipe = Recipe(temperature=contrast(kind.name)[0])
    return patched, recording


def shares(maps, concept, size):
    return upsample(gather(maps.values, select(maps, concept), True), maps.pixels_per_token, maps.image_size, size)[:, 0]


def ends(values):
    return (values.flatten(1).quantile(share, 1)[:, None, None] for share in (0.4, 0.6))


def sharp_mask(maps, concept, size, shape=Shape()):
    """live_mask, with four tenths of each picture outside and four tenths inside, since these models' own masks seldom have both."""
    values = shares(maps, concept, size)
    low, high = ends(values)
    _, found = live_mask(maps, concept, size)
    within = ((values - low) / (high - low).clamp(min=1e-6)).clamp(0, 1) * torch.tensor(found)[:, None, None]
    pixels = maps.image_size[0] / size[0]
    masks = [morphology.finish(np.asarray(one), grow=round(shape.grow / pixels), feather=shape.softness / pixels) for one in within]
    return torch.from_numpy(np.stack(masks)), found


@pytest.fixture
def sharp_masks(monkeypatch):
    monkeypatch.setattr(live, "live_mask", sharp_mask)


def mask_of_step(recording, kind, size=SIZE, step=0):
    """[B, h, w] of the recording's latest sampling."""
    run = recording.runs[-1]
    sigma = sorted(run.steps, reverse=True)[step]
    mask, found = live.live_mask(live_maps(recording, run, run.steps[sigma]), contrast(kind.name)[1], size)
    assert all(found) and mask.std() > 0.01
    return mask


def warnings(caplog, words):
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]
