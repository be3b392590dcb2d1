"""The preview of the strongest concepts while a model samples."""

import comfy.utils
import numpy as np
import pytest
import torch
from concept_attention.concept_core.draw.palette import colours
from concept_attention.concept_core.draw.preview import over, strongest_so_far
from PIL import Image


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
