"""The workflows for video models, with small models of the same classes: what they hand on fits together."""

import json

import folder_paths
import pytest
import tiny
import torch
from comfy_server import ROOT
from graphs import Graph

pytestmark = pytest.mark.long
SIZE, FRAMES = {"width": 96, "height": 64}, {"length": 9}


@pytest.fixture(autouse=True)
def temporary(tmp_path):
    """Previews go there."""
    before = folder_paths.get_temp_directory()
    folder_paths.set_temp_directory(str(tmp_path))
    with torch.inference_mode():
        yield
    folder_paths.set_temp_directory(before)


def graph(name, loaded, changes):
    prompt = json.loads((ROOT / "tests" / "live" / "exported" / f"{name}.json").read_text(encoding="utf-8"))
    return Graph(prompt, {kind: (model,) for kind, model in loaded.items()}, changes)


@pytest.fixture(params=["33 Masks for a clip with Wan 2.2 5B", "34 Masks for a clip with HunyuanVideo 1.5"])
def clip_graph(request):
    if "Wan" in request.param:
        loaded = {"UNETLoader": tiny.wan(channels=48, made=48), "CLIPLoader": tiny.wan_clip(width=4096), "VAELoader": tiny.wan22_vae()}
    else:
        clip = tiny.language_model_clip("hunyuan-video-1.5")
        loaded = {"UNETLoader": tiny.hunyuan_video_15(64), "DualCLIPLoader": clip, "VAELoader": tiny.hunyuan_video_15_vae()}
    changes = {"Empty Video Latent": SIZE | FRAMES, "Sample": {"steps": 2}, "Encode Concepts": {"background": "cat, grass"}}
    prompts = {title: {"text": "a dog on the grass"} for title in ("Prompt", "Negative Prompt")}
    return graph(request.param, loaded, changes | prompts)


def test_clip_overlay_and_mask_have_the_same_frames(clip_graph):
    titles = "The clip", "Where the dog is", "The mask of dog"
    assert [clip_graph.into(title, "images").shape for title in titles] == [(9, 64, 96, 3)] * 3


def test_vace_repaints_where_the_masks_are():
    """The mask drops in: a frame for each of the clip's, none of which is cut or filled up; what is masked is grey, all else the clip."""
    loaded = {"UNETLoader": tiny.wan("vace"), "CLIPLoader": tiny.wan_clip(width=4096), "VAELoader": tiny.wan_vae()}
    sizes = {"A clip from words": SIZE | FRAMES, "The clip to repaint": SIZE | FRAMES, "Grey": SIZE}
    steps = {"Sample, first": {"steps": 2}, "Sample, second": {"steps": 2}, "Encode Concepts": {"concepts": "dog, cat, grass"}}
    plain = {"Mask of dog": {"grow": 0, "concept": "grass"}}  # the random model sees it here and there
    prompts = {title: {"text": "a dog on the grass"} for title in ("Prompt", "Prompt for the masked part", "Negative Prompt")}
    run = graph("35 Repaint a moving thing with Wan 2.1 VACE", loaded, sizes | steps | prompts | plain)
    mask, control = run.into("The clip to repaint", "control_masks"), run.into("The clip to repaint", "control_video")
    clip = run.into("First clip", "images")
    assert mask.shape == (9, 64, 96) and clip.shape == control.shape == (9, 64, 96, 3)
    assert set(mask.unique().tolist()) == {0, 1}
    torch.testing.assert_close(control, torch.where(mask[..., None] > 0, 0.5, clip))
    ((_, options),) = run.into("Sample, second", "positive")
    (seen,), (latents,) = options["vace_mask"], options["vace_frames"]
    assert seen.shape == (1, 64, 3, 8, 12) and latents.shape == (1, 32, 3, 8, 12)
    pixels = seen.reshape(8, 8, 3, 8, 12).permute(2, 3, 0, 4, 1).reshape(3, 64, 96)
    assert all(any(torch.equal(frame, of_clip) for of_clip in mask) for frame in pixels)
    assert run.into("Second clip", "images").shape == clip.shape
