"""The library: every piece of docs/python.md runs as it stands there, in a Python of its own, and what is public is listed and typed."""

import inspect
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import torch
from concept_attention.concept_core import api
from concept_attention.demo_model import DEMO_FAMILIES
from concept_attention.nodes import NODES
from kinds import made

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
PIECES = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
PROMPT = "a red circle and a blue square on grass"
FUNCTIONS = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
OF_NODES = {  # which node has the same options
    "decode": "ConceptAttentionDecode",
    "encode_concepts": "ConceptAttentionEncodeConcepts",
    "encode_image": "ConceptAttentionEncodeImage",
    "encode_prompt_words": "ConceptAttentionPromptWords",
    "record_concepts": "ConceptAttentionApply",
    "heatmaps": "ConceptAttentionHeatmap",
    "masks": "ConceptAttentionMask",
    "segment": "ConceptAttentionSegmentation",
    "detections": "ConceptAttentionLocate",
    "instances": "ConceptAttentionInstances",
}


def in_python(folder, text, **variables):
    """What a script prints, in a Python that knows nothing of this one."""
    script = folder / "script.py"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def for_here(text):
    return text.replace("/path/to/ComfyUI/custom_nodes/concept-attention", ROOT.as_posix()).replace(
        "/path/to/ComfyUI", Path(os.environ["COMFYUI_PATH"]).as_posix()
    )


@pytest.mark.long
def test_every_piece_of_the_docs_runs(tmp_path):
    """And prints what stands behind it. One piece names files that nobody has here; its types are checked below."""
    promised = re.findall(r"\nprint\([^\n]*\)  # ([^\n]*)", "\n".join(PIECES))
    printed = in_python(tmp_path, for_here("\n".join(PIECES))).splitlines()
    assert len(promised) == 2 and [line for line in printed if line in promised] == promised
    assert [line.split()[0] for line in printed[1:3]] == ["circle", "square"] and all(float(line.split()[1]) > 0.9 for line in printed[1:3])
    assert {"circle.png", "maps.safetensors", "recording.safetensors"} <= {path.name for path in tmp_path.iterdir()}


def test_files_are_read_and_maps_decoded_without_comfyui(tmp_path):
    recording = made("flux").heard()
    api.save_recording(*recording, tmp_path / "recording.safetensors")
    text = f"""
import sys
sys.path.append({str(ROOT)!r})
from pathlib import Path
from concept_core.api import decode, load_recording, masks
maps = decode(*load_recording(Path("recording.safetensors")))
print(maps.values.shape, masks(maps, "a").shape)
print([name for name in sys.modules if name.split(".")[0] in ("comfy", "folder_paths", "comfy_api")])
"""
    assert in_python(tmp_path, text).splitlines() == ["torch.Size([1, 3, 4, 6]) torch.Size([1, 64, 96])", "[]"]


def test_what_is_public_is_in_the_docs():
    """And nothing else is called public there."""
    table = DOCS.split("## What is public")[1].split("Options have")[0]
    named = [name for name in re.findall(r"`(\w+)`", table.split("|---|---|")[1])]
    assert sorted(named) == sorted(api.__all__) and len(set(named)) == len(named)
    from concept_attention.concept_core.api import on_comfyui

    assert set(on_comfyui.__all__) < set(api.__all__)
    with pytest.raises(AttributeError, match="no attribute sampel"):
        _ = api.sampel


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_is_typed_and_explained(name):
    function = getattr(api, name)
    hints = inspect.get_annotations(inspect.unwrap(function))
    assert set(hints) == {*inspect.signature(function).parameters, "return"}, f"{name}: a type is missing"
    assert function.__doc__ or name == "supported"


def test_defaults_that_are_not_the_nodes_are_listed():
    """All widgets of a node whose option the library has, by what it does when it is left out."""
    of_nodes = {node.GET_SCHEMA().node_id: node for node in NODES}
    differ = []
    for function, node in OF_NODES.items():
        options = inspect.signature(getattr(api, function)).parameters
        for widget in of_nodes[node].GET_SCHEMA().inputs:
            option = options.get(widget.id)
            if option is None or getattr(widget, "default", None) is None or option.default is inspect.Parameter.empty:
                continue
            off = option.default is None and widget.default is False
            if option.default != widget.default and not off:
                differ.append((function, widget.id))
    listed = re.findall(r"\| `(\w+)`: `(\w+)` \|", DOCS)
    assert sorted(listed) == sorted([*differ, ("encode_concepts", "generic")])


def test_it_samples_as_ksampler_does():
    import nodes

    model, clip, vae = DEMO_FAMILIES["sd3"].load()
    positive, negative = api.encode_text(clip, PROMPT), api.encode_text(clip, "")
    latent = api.empty_latent(model, 64, 96)
    assert latent.shape == (1, 16, 12, 8)
    (theirs,) = nodes.KSampler().sample(model, 3, 4, 4.5, "dpmpp_2m", "normal", positive, negative, {"samples": latent}, denoise=0.8)
    seen = []
    ours = api.sample(
        model, positive, latent, negative=negative, seed=3, steps=4, cfg=4.5, sampler="dpmpp_2m", scheduler="normal", denoise=0.8,
        callback=lambda step, *_: seen.append(step),
    )  # fmt: skip
    assert torch.equal(ours, theirs["samples"]) and seen == [0, 1, 2, 3]
    picture = api.decode_latent(vae, ours)
    assert picture.shape == (1, 96, 64, 3) and not picture.requires_grad
    with pytest.raises(ValueError, match="needs a negative prompt"):
        api.sample(model, positive, latent, cfg=4.5)


def test_latents_of_clips():
    model, clip, vae = DEMO_FAMILIES["hunyuan-video"].load()
    latent = api.empty_latent(model, 128, 64, frames=6)
    assert latent.shape == (1, 16, 2, 8, 16)  # five frames
    assert api.decode_latent(vae, latent).shape == (5, 64, 128, 3)
    with pytest.raises(ValueError, match="makes no clips"):
        api.empty_latent(made("flux").model, 64, 64, frames=5)
    with pytest.raises(ValueError, match="at least 1 frame and 16 pixels"):
        api.empty_latent(made("flux").model, 64, 8)


def test_types_of_the_pieces(tmp_path):
    """A type checker has nothing to say of them."""
    whole = "\n".join(re.findall(r"```python(?: no-test)?\n(.*?)```", DOCS, re.DOTALL))
    (tmp_path / "pieces.py").write_text(whole, encoding="utf-8")
    (tmp_path / "concept_core").symlink_to(ROOT / "concept_core", target_is_directory=True)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "pieces.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert typing.get_type_hints(api.load_model)["return"] is api.Loaded
