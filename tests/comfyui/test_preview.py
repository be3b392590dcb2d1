"""The preview of the strongest concepts while a model samples."""

import comfy.utils
import numpy as np
import pytest
import torch
from concept_attention.concept_core.draw.palette import colours
from concept_attention.concept_core.draw.preview import outlined, over, strongest_so_far
from concept_attention.concept_core.record.lock import with_lock
from concept_attention.concept_core.recording.recipe import Recipe
from concept_attention.concept_core.steer.lock import Lock
from PIL import Image
from steered import contrast, mask_of_step, sharp_masks  # noqa: F401


@pytest.fixture
def shown(monkeypatch):
    """What the interface would show: the pictures of all progress reports."""
    pictures = []

    def hook(value, total, preview, node_id=None):
        if preview:
            pictures.append((value, total, preview[1]))

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    return pictures


@pytest.mark.parametrize("batch", [1, 2])
def test_every_recorded_step_is_shown_and_the_picture_stays(kind, shown, batch):
    options = dict(size=(8, 12), steps=3, batch=batch, cfg=2.0, sampler="heun")
    patched, recording = kind.record(preview=strongest_so_far)
    assert torch.equal(kind.sample(patched, **options), kind.sample(**options))
    assert [(value, total) for value, total, _ in shown] == [(1, 3), (2, 3), (3, 3)]
    assert all(picture.size == (12, 8) for _, _, picture in shown)
    assert len(recording.runs[0].steps) == 3


def test_every_family_is_shown(each_kind, shown):
    patched, recording = each_kind.record(preview=strongest_so_far)
    assert torch.equal(each_kind.sample(patched, steps=2), each_kind.sample(steps=2))
    assert len(recording.runs[0].steps) == 2
    if each_kind.model.model.latent_format.latent_rgb_factors is None:
        assert not shown  # ComfyUI has no quick preview of it either
    else:
        assert len(shown) == 2 and all(min(picture.size) > 1 for _, _, picture in shown)


def test_nothing_is_shown_unless_it_is_asked_for_or_outside_the_window(kind, shown):
    patched, _ = kind.record()
    kind.sample(patched)
    assert not shown
    patched, _ = kind.record(None, 0.5, 1.0, preview=strongest_so_far)
    kind.sample(patched, steps=4)
    assert 0 < len(shown) < 4


def test_each_spot_has_the_colour_of_its_strongest_concept():
    shares = torch.zeros(3, 2, 3)
    shares[0, :, 0], shares[1, :, 1], shares[2, :, 2] = 1.0, 1.0, 1.0
    grey = Image.fromarray(np.full((32, 48, 3), 128, np.uint8))
    names = ("circle", "grass")
    drawn = np.asarray(over(grey, shares, names, (32, 48), 16)).astype(int)
    for place in range(2):
        expected = 128 + 0.65 * (colours(names)[place].numpy() * 255 - 128)
        assert np.abs(drawn[16, 16 * place + 4] - expected).max() < 40
        assert np.abs(drawn[16, 16 * place + 4] - 128).max() > 30
    assert (drawn[:, 44:] == 128).all()


def test_a_mask_is_outlined_inside_and_the_pictures_edge_is_not():
    mask = torch.zeros(4, 6)
    mask[1:, 3:] = 1.0
    drawn = np.asarray(outlined(Image.fromarray(np.zeros((8, 12, 3), np.uint8)), [mask])).max(-1) > 0
    expected = np.zeros((8, 12), bool)
    expected[2, 6:] = expected[2:, 6] = True
    assert (drawn == expected).all()


@pytest.mark.usefixtures("sharp_masks")
def test_what_steers_a_step_is_outlined_in_it(kind, shown):
    """From the step on in which the lock begins; with the mask of the step before."""
    source = torch.randn(2, 16, 8, 12, generator=torch.Generator().manual_seed(7))
    pictures = []
    for steered in (False, True):
        patched, recording = kind.record(preview=strongest_so_far)
        temperature, concept = contrast(kind.name)
        recording.recipe = Recipe(temperature=temperature)
        model = with_lock(patched, Lock(recording, concept)) if steered else patched
        kind.sample(model, steps=2, latent=source)
        pictures.append([np.asarray(picture) for _, _, picture in shown])
        shown.clear()
    plain, steered = pictures
    assert (plain[0] == steered[0]).all()  # nothing was heard before it
    inside = mask_of_step(recording, kind)[0].numpy() >= 0.5
    white = (steered[1] == 255).all(-1)
    assert white.any() and not white[~inside].any() and white[inside].sum() < inside.sum()
