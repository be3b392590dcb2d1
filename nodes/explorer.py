"""Concept Explorer: its node here, what it shows in web/."""

import hashlib
import io as bytes_io
import json
from pathlib import Path

import folder_paths
from comfy.model_management import intermediate_device
from comfy_api.latest import io
from PIL import Image

from ..concept_core.draw.explorer import explorable, pinned_mask
from ..concept_core.maps.pictures import pictures_for
from .files import whole_or_none
from .sockets import CATEGORY, Maps

LONGEST = 1024  # side of a picture that the browser shows, in pixels
QUALITY = 92


class Explorer(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionExplorer",
            display_name="Concept Explorer",
            category=CATEGORY,
            description="Hover over the picture to see what the model took each spot for, hover over a concept to see where it is, and "
            "click to pin what the mask shall hold.",
            search_aliases=["concept viewer", "inspect attention", "interactive heatmap", "attention map", "interpret", "saliency"],
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode or Load Concept Maps."),
                io.Image.Input("image", optional=True, tooltip="The decoded picture, or a scaled copy. The mask takes its size."),
                io.String.Input(
                    "pinned",
                    default="",
                    tooltip='The concepts that the mask holds, joined: "dragon" or "dragon + rock". Click in the picture or on a concept '
                    "to pin it, with Shift to pin several. If it is empty, so is the mask.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="The least share of the pinned concepts that is in the mask; without softmax, the way from their lowest score "
                    "to their highest.",
                ),
            ],
            outputs=[
                io.Mask.Output("mask", tooltip="One for each picture: what the mask view shows of the pinned concepts, 0 or 1."),
                io.String.Output("pinned", tooltip="For Concept Mask's concept, whose edges follow the picture's."),
            ],
        )

    @classmethod
    def execute(cls, maps, pinned, threshold, image=None):
        mask = pinned_mask(maps, pinned, threshold, image)
        pictures = [] if image is None else [saved(jpeg(picture), ".jpg") for picture in pictures_for(maps, image)[: len(image)]]
        used = {"pictures": pictures, "pinned": pinned, "threshold": threshold}
        shown = saved(json.dumps(explorable(maps) | used).encode(), ".json")
        return io.NodeOutput(mask.to(intermediate_device()), pinned, ui={"concept_explorer": [shown]})


def jpeg(picture) -> bytes:
    """Of a picture [H, W, 3] in 0..1, no larger than a browser needs."""
    drawn = Image.fromarray((picture * 255).round().clamp(0, 255).byte().numpy())
    drawn.thumbnail((LONGEST, LONGEST))
    file = bytes_io.BytesIO()
    drawn.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def saved(content: bytes, suffix: str) -> str:
    """The name under which the interface finds it in the temporary folder; it follows from the content.

    A plain name: what is given out as a file the interface lists among a run's results.
    """
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    name = f"concept_explorer_{hashlib.sha256(content).hexdigest()[:24]}{suffix}"
    if not (folder / name).is_file():
        with whole_or_none(folder / name) as part:
            part.write_bytes(content)
    return name


NODES = [Explorer]
