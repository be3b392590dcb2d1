import base64
import json
import logging

import numpy as np
import pytest
import torch
from concept_attention.concept_core.draw.explorer import explorable, pinned_mask
from concept_attention.concept_core.masks.masks import masks
from drawn_maps import maps, painted


def unpacked(about):
    levels = np.frombuffer(base64.b64decode(about["values"]), "<u2").reshape(about["shape"])
    return torch.from_numpy(about["low"] + levels / 65535 * (about["high"] - about["low"]))


@pytest.mark.parametrize("shares", [True, False])
def test_the_browser_gets_the_maps_at_their_own_size(shares):
    made = maps(batch=2, softmaxed=shares)
    if not shares:
        made.values.mul_(90).sub_(40)
    about = json.loads(json.dumps(explorable(made)))
    torch.testing.assert_close(unpacked(about).float(), made.values, rtol=0, atol=1e-5 if shares else 2e-3)
    assert about["names"] == list(made.names) and about["shown"] == 3 and (about["presence"] is None) == (not shares)
    assert len(about["values"]) == 4 * -(-2 * made.values.numel() // 3)  # base64 of two bytes each


def test_the_mask_is_where_the_pinned_concepts_reach_the_threshold():
    made = maps(batch=2)
    assert torch.equal(pinned_mask(made, "left", 0.3), masks(made, "left", "threshold", 0.3))
    joined = masks(made, "left + top", "threshold", 0.6)
    for text in ("left + top", "left, top", "top + left"):
        assert torch.equal(pinned_mask(made, text, 0.6), joined)
    assert joined.shape == (2, 96, 128)
    assert pinned_mask(made, "left", 0.5, painted(made, (192, 256))).shape == (2, 192, 256)


def test_raw_scores_are_cut_between_their_lowest_and_highest():
    made = maps(softmaxed=False)
    made.values.mul_(90).sub_(40)
    assert torch.equal(pinned_mask(made, "left", 0.5), pinned_mask(maps(), "left", (0.95 + 0.01) / 2))


def test_nothing_pinned_is_an_empty_mask_and_is_told(caplog):
    with caplog.at_level(logging.INFO):
        assert pinned_mask(maps(batch=3), " ", 0.5).eq(0).all() and "no concept is pinned" in caplog.text


def test_what_is_wrong_is_told():
    with pytest.raises(ValueError, match="There is no map of 'cat'. There are: left, top, absent, rest"):
        pinned_mask(maps(), "left + cat", 0.5)
    with pytest.raises(ValueError, match="other proportions"):
        pinned_mask(maps(), "left", 0.5, torch.zeros(1, 96, 96, 3))
