"""Every example workflow: its picture, its format, and that it asks for nothing that ComfyUI does not have."""

import json
from pathlib import Path

import pytest
from comfy_server import ROOT
from PIL import Image

FOLDERS = {"checkpoints", "diffusion_models", "text_encoders", "vae"}
EXAMPLES = sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_api_format_is_what_the_interface_makes_of_the_workflow(live, name):
    """The files were exported by ComfyUI's own interface."""
    exported = json.loads(Path(__file__).with_name("exported").joinpath(f"{name}.json").read_text(encoding="utf-8"))
    assert live.workflow(name) == {node: {"class_type": c["class_type"], "inputs": c["inputs"]} for node, c in exported.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_has_a_square_picture_and_only_nodes_that_there_are(live, name):
    with Image.open(ROOT / "example_workflows" / f"{name}.jpg") as card:
        assert card.width == card.height
    used = {node["type"] for node in live.workflow_file(name)["nodes"]}
    assert used - {"MarkdownNote"} <= set(live.declared)


@pytest.mark.parametrize("name", EXAMPLES)
def test_where_its_models_come_from_is_named(live, name):
    """ComfyUI's list of missing models offers them."""
    for node in live.workflow_file(name)["nodes"]:
        files = [value for value in node.get("widgets_values") or [] if str(value).endswith(".safetensors")]
        named = node["properties"].get("models", [])
        assert [model["name"] for model in named] == files
        assert all(model["url"].endswith(f"/{model['name']}") and model["directory"] in FOLDERS for model in named)
