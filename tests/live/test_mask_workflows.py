"""Masks in chains, on the workflows that show them: what is in the mask has become the other thing, and the rest stays."""

import copy

import numpy as np
import pytest
import torch
from comfy_client import WorkflowError
from concept_attention.concept_core.maps.presence import presence
from concept_attention.concept_core.maps.selection import select
from prompts import nodes, only, pictures, saved_maps, up_to
from safetensors.torch import load_file
from scenes import coverage_by_colour
from scipy.ndimage import distance_transform_edt


@pytest.fixture(scope="module")
def run(live):
    """Queue an example workflow, with all that is ADDED to it, and give (prompt, result, pictures by file name)."""
    done = {}

    def run(name):
        if name not in done:
            prompt = live.workflow(name)
            prompt |= ADDED[name](prompt, name) if name in ADDED else {}
            result = live.queue(prompt)
            done[name] = prompt, result, pictures(live, result, prompt)
        return done[name]

    return run


def outside(mask, pixels):
    """Farther than that from whatever of the mask [H, W] is not 0."""
    return distance_transform_edt(mask == 0) > pixels


def save_latent(of, name):
    return {"class_type": "SaveLatent", "inputs": {"samples": of, "filename_prefix": f"latents/{name}"}}


def saved_latent(live, name):
    return load_file(sorted((live.output / "latents").glob(f"{name}_*.latent"))[-1])["latent_tensor"]


def both_latents_and_maps_of_the_second(prompt, name):
    """Nodes that save the latents of both samplers, and decode concept maps of the second picture too."""
    first, second = sorted(nodes(prompt, "KSampler"), key=int)
    latents = {"a": save_latent([first, 0], f"{name}_a"), "b": save_latent([second, 0], f"{name}_b")}
    return latents | read_second_picture(prompt, second)


def read_second_picture(prompt, sampler):
    first = prompt[only(prompt, "ConceptAttentionEncodeConcepts")]["inputs"]["clip"]
    concepts = {"clip": first, "concepts": "circle, square, triangle, star, heart", "background": "grass, sand, snow"}
    return {
        "concepts": {
            "class_type": "ConceptAttentionEncodeConcepts",
            "inputs": concepts | {"tokens": "all tokens", "encoder": "auto"},
        },
        "apply": {
            "class_type": "ConceptAttentionApply",
            "inputs": {"model": prompt[sampler]["inputs"]["model"], "concepts": ["concepts", 0], "start_percent": 0.0, "end_percent": 1.0}
            | {"spaces": "output"},
        },
        sampler: {"class_type": "KSampler", "inputs": prompt[sampler]["inputs"] | {"model": ["apply", 0]}},
        "decode": {
            "class_type": "ConceptAttentionDecode",
            "inputs": prompt[only(prompt, "ConceptAttentionDecode")]["inputs"] | {"recording": ["apply", 1], "samples": [sampler, 0]},
        },
        "maps": {"class_type": "ConceptAttentionSaveMaps", "inputs": {"maps": ["decode", 0], "filename_prefix": "second_maps"}},
    }


def round_trip(prompt, name):
    """Nodes that encode and decode the first picture."""
    decode = sorted(nodes(prompt, "VAEDecode"), key=int)[0]
    vae = prompt[decode]["inputs"]["vae"]
    return {
        "encode": {"class_type": "VAEEncode", "inputs": {"pixels": [decode, 0], "vae": vae}},
        "round": {"class_type": "VAEDecode", "inputs": {"samples": ["encode", 0], "vae": vae}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["round", 0], "filename_prefix": "encode/round_trip"}},
    }


ADDED = {
    "07 Repaint one thing (demo)": both_latents_and_maps_of_the_second,
    "08 Repaint softly (demo)": both_latents_and_maps_of_the_second,
    "09 Repaint with inpainting nodes (demo)": round_trip,
}
REPAINTED = {
    # workflow: what was there, what is there now, colours and ground of both pictures
    "07 Repaint one thing (demo)": (("circle", "red"), ("star", "yellow"), "blue", "grass"),
    "08 Repaint softly (demo)": (("heart", "purple"), ("square", "green"), "yellow", "sand"),
    "09 Repaint with inpainting nodes (demo)": (("triangle", "green"), ("square", "blue"), "red", "snow"),
    "25 Repaint one of several (demo)": (("circle", "red"), ("star", "yellow"), "blue", "sand"),
}


@pytest.mark.parametrize("name", REPAINTED)
def test_the_thing_in_the_mask_has_become_the_other_thing(run, name):
    (_, old), (_, new), other, ground = REPAINTED[name]
    _, _, shown = run(name)
    mask = shown["mask"][0, ..., 0] > 0
    was = coverage_by_colour(shown["first"][0], [old, new, other], ground) > 0
    assert (was[0] & mask).sum() > 0.95 * was[0].sum() and not was[1].sum() > 50
    for picture in [shown["second"], *([shown["third"]] if "third" in shown else [])]:
        now = coverage_by_colour(picture[0], [old, new, other], ground) > 0
        assert now[0].sum() < 0.02 * was[0].sum()
        assert now[1].sum() > 0.15 * was[0].sum() and (now[1] & mask).sum() > 0.95 * now[1].sum()
        assert (now[2] & was[2]).sum() > 0.97 * was[2].sum()


@pytest.mark.parametrize("name", ["07 Repaint one thing (demo)", "08 Repaint softly (demo)"])
def test_the_maps_of_the_second_picture_know_it_too(live, run, name):
    (old, _), (new, _), *_ = REPAINTED[name]
    prompt, result, shown = run(name)
    maps = saved_maps(live, result, prompt)
    scores = dict(zip((it.label for it in select(maps, "*")), presence(maps, select(maps, "*"))[0].tolist()))
    assert scores[new] > 0.3 and scores[old] < 0.1
    peak = maps.values[0, maps.names.index(new)].flatten().argmax().item()
    y, x = (16 * (i + 0.5) for i in divmod(peak, maps.values.shape[3]))
    assert shown["mask"][0, int(y), int(x), 0] > 0.5


@pytest.mark.parametrize("name", ["07 Repaint one thing (demo)", "08 Repaint softly (demo)"])
def test_outside_the_mask_the_latent_stays(live, run, name):
    _, _, shown = run(name)
    mask = torch.from_numpy(shown["mask"][:, None, :, :, 0])
    covered = torch.nn.functional.max_pool2d(mask, 10, 8, padding=1)[0, 0] > 0  # a latent pixel reads a little beyond its 8 pixels
    before, after = saved_latent(live, f"{name}_a"), saved_latent(live, f"{name}_b")
    assert covered.float().mean() < 0.4
    torch.testing.assert_close(before[..., ~covered], after[..., ~covered], atol=1e-5, rtol=0)  # scaled to the model and back
    assert (before - after).abs().max() > 1
    difference = np.abs(shown["first"] - shown["second"])[0].max(-1)
    assert difference[outside(shown["mask"][0, ..., 0], 16)].max() < 0.03
    assert difference[outside(shown["mask"][0, ..., 0], 40)].max() <= 1.01 / 255


def test_outside_the_mask_encoding_nodes_do_what_the_vae_alone_does(run):
    _, _, shown = run("09 Repaint with inpainting nodes (demo)")
    mask = shown["mask"][0, ..., 0]
    for name in ("second", "third"):
        difference = np.abs(shown["round_trip"] - shown[name])[0].max(-1)
        assert difference[outside(mask, 24)].max() < 0.05 and np.abs(shown["first"] - shown[name]).max() > 0.5


def test_a_thing_is_cut_out_and_laid_on_another_picture(run):
    _, _, shown = run("10 Cut out and composite (demo)")
    mask = shown["mask"][0, ..., :1]
    expected = shown["first"][0] * mask + shown["other"][0] * (1 - mask)
    assert np.abs(expected - shown["composite"][0]).max() <= 2.01 / 255
    orange = coverage_by_colour(shown["first"][0], ["orange", "blue"], "water")[0]
    within = mask[..., 0] > 0.5
    assert (orange * within).sum() / np.maximum(orange, within).sum() > 0.85
    rim = (mask[..., 0] > 0.9) & (coverage_by_colour(shown["composite"][0], ["orange", "green", "blue"], "water")[0] == 0)
    assert rim.sum() < 0.03 * within.sum()  # no water came along


def test_each_region_has_what_its_prompt_says(run):
    _, _, shown = run("11 A prompt for each region (demo)")
    masks = [shown[f"mask_{i}"][0, ..., 0] > 0.5 for i in (1, 2)]
    things = coverage_by_colour(shown["second"][0], ["green", "purple", "red", "blue"], "sand")
    assert things[2].sum() == things[3].sum() == 0
    for thing, mask, elsewhere in zip(things, masks, reversed(masks)):
        assert thing.sum() > 1000
        assert (thing * mask).sum() > 0.6 * thing.sum() and (thing * elsewhere).sum() < 0.1 * thing.sum()


def test_a_region_while_sampling_has_what_its_prompt_says_and_all_else_stays(run):
    _, _, shown = run("23 A region while sampling (demo)")
    heart, circle = coverage_by_colour(shown["without"][0], ["blue", "black"], "grass")[:2] > 0.5
    purple, blue, black, grass = coverage_by_colour(shown["with"][0], ["purple", "blue", "black"], "grass") > 0.5
    assert min(heart.sum(), circle.sum()) > 1000
    assert purple[heart].mean() > 0.8 and blue.mean() < 0.005
    assert black[circle].mean() > 0.9 and purple[circle].mean() < 0.02
    assert grass[~(heart | circle)].mean() > 0.98


def test_a_lock_keeps_all_but_the_thing_that_is_repainted(run):
    _, _, shown = run("24 Edit one thing and lock the rest (demo)")
    blue, black = coverage_by_colour(shown["source"][0], ["blue", "black"], "grass")[:2] > 0.5
    purple, left, circle, _ = coverage_by_colour(shown["repainted"][0], ["purple", "blue", "black"], "grass") > 0.5
    assert min(blue.sum(), black.sum()) > 1000
    assert purple[blue].mean() > 0.9 and left.mean() < 0.005
    assert circle[black].mean() > 0.98
    difference = np.abs(shown["repainted"] - shown["source"])[0].max(-1)
    assert difference[outside(blue, 64)].max() < 0.02 and difference[blue].mean() > 0.3


def test_a_lora_stripes_the_heart_and_nothing_else(run):
    _, _, shown = run("29 A LoRA on one thing only (demo)")
    heart, circle, _ = coverage_by_colour(shown["without"][0], ["blue", "black"], "grass") > 0.5
    assert min(heart.sum(), circle.sum()) > 1000
    white, striped = shown["with"][0].min(-1) > 0.7, np.arange(256) // 8 % 2 == 1  # upright stripes of 8 pixels
    assert white[heart & striped].mean() > 0.5 and white[heart & ~striped].mean() < 0.1 and white[~heart].mean() < 0.01
    _, black, grass = coverage_by_colour(shown["with"][0], ["blue", "black"], "grass") > 0.5
    assert black[circle].mean() > 0.95 and grass[outside(heart | circle, 16)].mean() > 0.99


def test_more_prompt_gives_the_star_its_points_and_the_rest_stays(run):
    _, _, shown = run("30 More prompt on one thing (demo)")
    stars = [coverage_by_colour(shown[name][0], ["red", "blue"], "snow")[0] > 0.5 for name in ("without", "with")]
    assert min(star.sum() for star in stars) > 500
    assert roundness(stars[1]) < 0.85 * roundness(stars[0])
    rest = outside(stars[0] | stars[1], 24)
    assert rest.mean() > 0.5 and np.abs(shown["with"][0] - shown["without"][0]).max(-1)[rest].mean() < 0.01


def roundness(area):
    """4 π area / perimeter², 1 for a disc."""
    edges = sum(np.abs(np.diff(area.astype(int), axis=axis)).sum() for axis in (0, 1))
    return 4 * np.pi * area.sum() / edges**2


def test_the_segmentation_has_all_things(run):
    prompt, result, shown = run("05 All concepts at once (demo)")
    things = coverage_by_colour(shown["picture"][0], ["red", "blue", "yellow"], "grass")
    masks = shown["mask"][..., 0]
    assert masks.shape == (4, 256, 256) and not masks[3].any() and masks.sum(0).max() == 1
    for thing, mask in zip(things[:3], masks):
        assert (thing * mask).sum() / np.maximum(thing, mask).sum() > 0.7
    (report,) = result.outputs[only(prompt, "ConceptAttentionLocate")]["text"]
    assert [line.split()[0] for line in report.splitlines()] == ["circle", "square", "star", "heart"]
    assert report.endswith("not found") and report.count("not found") == 1
    assert result.outputs[only(prompt, "ConceptAttentionSegmentation")]["images"][0]["type"] == "temp"  # the preview in the node


def test_changing_a_mask_setting_samples_nothing_again_but_what_follows(live):
    prompt = live.workflow("07 Repaint one thing (demo)")
    live.queue(prompt)
    changed = copy.deepcopy(prompt)
    changed[only(prompt, "ConceptAttentionMask")]["inputs"]["grow"] = 20
    ran = live.queue(changed).executed
    first, second = sorted(nodes(prompt, "KSampler"), key=int)
    assert second in ran and first not in ran and only(prompt, "ConceptAttentionDecode") not in ran


def consumers(mask, image, latent, text, vae):
    """The nodes of ComfyUI that take a MASK, with all they need."""
    inpaint = {"positive": text, "negative": text, "vae": vae, "pixels": image, "mask": mask, "noise_mask": True}
    onto = {"x": 0, "y": 0, "resize_source": False, "mask": mask}
    return {
        "MaskToImage": {"mask": mask},
        "InvertMask": {"mask": mask},
        "MaskPreview": {"mask": mask},
        "GrowMask": {"mask": mask, "expand": 3, "tapered_corners": True},
        "FeatherMask": {"mask": mask, "left": 5, "top": 5, "right": 5, "bottom": 5},
        "CropMask": {"mask": mask, "x": 8, "y": 8, "width": 64, "height": 32},
        "ThresholdMask": {"mask": mask, "value": 0.5},
        "MaskComposite": {"destination": mask, "source": mask, "x": 0, "y": 0, "operation": "add"},
        "JoinImageWithAlpha": {"image": image, "alpha": mask},
        "ImageCompositeMasked": {"destination": image, "source": image, **onto},
        "LatentCompositeMasked": {"destination": latent, "source": latent, **onto},
        "SetLatentNoiseMask": {"samples": latent, "mask": mask},
        "VAEEncodeForInpaint": {"pixels": image, "vae": vae, "mask": mask, "grow_mask_by": 6},
        "InpaintModelConditioning": inpaint,
        "ConditioningSetMask": {"conditioning": text, "mask": mask, "strength": 1.0, "set_cond_area": "mask bounds"},
    }


@pytest.mark.parametrize(("batch", "concept"), [(1, "circle"), (2, "circle"), (2, "circle + square")])
def test_every_node_that_takes_masks_takes_them(live, batch, concept):
    prompt = live.workflow("07 Repaint one thing (demo)")
    prompt = up_to(prompt, only(prompt, "ConceptAttentionMask"))
    mask, sampler, decode = (only(prompt, name) for name in ("ConceptAttentionMask", "KSampler", "VAEDecode"))
    prompt[only(prompt, "EmptySD3LatentImage")]["inputs"]["batch_size"] = batch
    prompt[mask]["inputs"]["concept"] = concept
    added = consumers([mask, 0], [decode, 0], [sampler, 0], prompt[sampler]["inputs"]["positive"], prompt[decode]["inputs"]["vae"])
    for class_type, inputs in added.items():
        prompt[class_type] = {"class_type": class_type, "inputs": inputs}
        if live.declared[class_type]["output"]:
            prompt[class_type + " shown"] = {"class_type": "PreviewAny", "inputs": {"source": [class_type, 0]}}
    for name in ("MaskToImage", "inverted"):
        prompt[name + " saved"] = {"class_type": "SaveImage", "inputs": {"images": [name, 0], "filename_prefix": f"consumers/{name}"}}
    prompt["inverted"] = {"class_type": "MaskToImage", "inputs": {"mask": ["InvertMask", 0]}}
    result = live.queue(prompt)
    assert set(added) <= set(result.executed)
    shown = pictures(live, result, prompt)
    assert shown["MaskToImage"].shape == (batch, 256, 256, 3) and 0.02 < shown["MaskToImage"].mean() < 0.5
    np.testing.assert_allclose(shown["inverted"], 1 - shown["MaskToImage"], atol=1.01 / 255)


@pytest.mark.parametrize(
    ("class_type", "setting", "message"),
    [
        ("ConceptAttentionMask", {"concept": "dragon"}, "There is no map of 'dragon'. There are: circle, square, grass"),
        ("ConceptAttentionMask", {"concept": ""}, "No concept is named"),
        ("ConceptAttentionMask", {"threshold": 1.5}, "bigger than max"),
        ("ConceptAttentionMask", {"method": "magic"}, "magic"),
        ("EmptySD3LatentImage", {"width": 320}, "other proportions"),
    ],
)
def test_bad_settings_are_said_where_they_are(live, class_type, setting, message):
    prompt = live.workflow("07 Repaint one thing (demo)")
    if class_type == "EmptySD3LatentImage":  # an image that is not the maps'
        other = {"class_type": "EmptyImage", "inputs": {"width": 320, "height": 256, "batch_size": 1, "color": 0}}
        prompt |= {"other": other}
        prompt[only(prompt, "ConceptAttentionMask")]["inputs"]["image"] = ["other", 0]
    else:
        prompt[only(prompt, class_type)]["inputs"] |= setting
    with pytest.raises(WorkflowError, match=message):
        live.queue(prompt)
