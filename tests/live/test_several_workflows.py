"""A batch of which the best is picked, and several things that are repainted in one go, on the workflows that show them."""

import numpy as np
import pytest
from comfy_client import WorkflowError
from concept_attention.concept_core.maps.presence import presence
from concept_attention.concept_core.maps.selection import select
from prompts import nodes, only, pictures, saved_maps
from scenes import coverage_by_colour

BEST, SEVERAL = "37 Pick the best of a batch (demo)", "38 Repaint several things in one go (demo)"
CHANGED = {"red": "yellow", "blue": "purple"}  # circle → star, square → heart


def with_maps(prompt):
    (decode,) = nodes(prompt, "ConceptAttentionDecode")
    save = {"class_type": "ConceptAttentionSaveMaps", "inputs": {"maps": [decode, 0], "filename_prefix": "several_maps"}}
    return prompt | {"maps": save}


def queue(live, prompt, **changes):
    """The best node with other inputs."""
    best = only(prompt, "ConceptAttentionBest")
    changed = prompt | {best: {**prompt[best], "inputs": prompt[best]["inputs"] | changes}}
    result = live.queue(changed)
    return result, pictures(live, result, changed)


def test_the_picture_that_shows_all_is_picked(live):
    prompt = with_maps(live.workflow(BEST))
    result, shown = queue(live, prompt)
    maps = saved_maps(live, result, prompt)
    scores = presence(maps, select(maps, "circle, square, star"))
    lowest = scores.amin(1)
    best = int(lowest.argmax())
    assert len(shown["all"]) == 4 and len(shown["best"]) == 1 and np.array_equal(shown["best"][0], shown["all"][best])
    found = coverage_by_colour(shown["best"][0], ["red", "blue", "yellow"], "grass")
    assert ((found[:3] > 0.5).mean((1, 2)) > 0.005).all()
    told = result.outputs[only(prompt, "ConceptAttentionBest")]["concept_attention_told"]
    assert told == [f"picture {best + 1}: {lowest[best]:.2f}"]
    result, shown = queue(live, prompt, max_count=0, min_presence=0.0)
    order = lowest.argsort(descending=True, stable=True)
    assert all(np.array_equal(one, shown["all"][number]) for one, number in zip(shown["best"], order)) and len(shown["best"]) == 4


def test_where_none_shows_all_it_is_said_or_the_best_is_given(live):
    prompt = with_maps(live.workflow(BEST))
    with pytest.raises(
        WorkflowError, match=r"None of 4 pictures shows all of circle, square, star: picture \d, where \w+ has a presence of"
    ):
        queue(live, prompt, min_presence=1.0)
    result, shown = queue(live, prompt, min_presence=1.0, if_none="the best one")
    assert len(shown["best"]) == 1 and "comes closest" in result.outputs[only(prompt, "ConceptAttentionBest")]["concept_attention_told"][0]
    best = only(prompt, "ConceptAttentionBest")
    with pytest.raises(WorkflowError, match="gives out images only if images are connected"):
        live.queue(prompt | {best: {**prompt[best], "inputs": {k: v for k, v in prompt[best]["inputs"].items() if k != "images"}}})


def test_picked_latents_go_on_to_another_sampler(live):
    """Decoded they are the picture that is picked."""
    prompt = live.workflow(BEST)
    best, vae = only(prompt, "ConceptAttentionBest"), only(prompt, "VAEDecode")
    decode = {"class_type": "VAEDecode", "inputs": {"samples": [best, 0], "vae": prompt[vae]["inputs"]["vae"]}}
    save = {"class_type": "SaveImage", "inputs": {"images": ["again", 0], "filename_prefix": "concept_best/again"}}
    _, shown = queue(live, prompt | {"again": decode, "saved": save})
    assert np.abs(shown["again"] - shown["best"]).max() < 1.5 / 255


def test_each_thing_has_become_its_own(live):
    prompt = live.workflow(SEVERAL)
    result = live.queue(prompt)
    shown = pictures(live, result, prompt)
    colours = [*CHANGED, *CHANGED.values()]
    was, now = (coverage_by_colour(shown[name][0], colours, "grass") > 0.5 for name in ("first", "second"))
    for place in range(2):
        assert was[place].mean() > 0.01 and not was[2 + place].mean() > 0.002
        assert now[place].sum() < 0.02 * was[place].sum() and now[2 + place].sum() > 0.15 * was[place].sum()
    middles = [[np.mean(axis) for axis in mask.nonzero()] for mask in (was[0], was[1], now[2], now[3])]
    assert np.abs(np.subtract(middles[:2], middles[2:])).max() < 24  # each is where the old one was
    repaint = only(prompt, "ConceptAttentionRepaint")
    for things, message in [("heart: a star", "no map of 'heart'"), ("circle #3: a star", "not found in the picture")]:
        changed = prompt | {repaint: {**prompt[repaint], "inputs": prompt[repaint]["inputs"] | {"things": things}}}
        with pytest.raises(WorkflowError, match=message):
            live.queue(changed)
    with pytest.raises(WorkflowError, match="is not a concept, a colon and a prompt"):
        live.queue(prompt | {repaint: {**prompt[repaint], "inputs": prompt[repaint]["inputs"] | {"things": "circle"}}})
