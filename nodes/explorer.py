"""Concept Explorer: its node here, what it shows in web/."""

import hashlib
import io as bytes_io
import json
from pathlib import Path

import folder_paths
from comfy.model_management import intermediate_device
from comfy_api.latest import io
from PIL import Image

from ..concept_core.draw.explorer import explorable, selected_mask, with_edges, with_things
from ..concept_core.maps.pictures import pictures_for
from .files import whole_or_none
from .sockets import CATEGORY, IMAGE_TOOLTIP, Maps

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
            "click to select what the mask shall hold.",
            search_aliases=["concept viewer", "inspect attention", "interactive heatmap", "attention map", "interpret", "saliency"],
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode or Load Concept Maps."),
                io.Image.Input("image", optional=True, tooltip=IMAGE_TOOLTIP),
                io.String.Input(
                    "pinned",
                    default="",
                    tooltip='The selected concepts: "dragon", or "dragon + rock" for both in one mask, as in Concept Mask; "dragon #2" is '
                    "the second dragon from the left. Click in the picture or on a concept to select it, with Shift to select several. If "
                    "it is empty, so is the mask.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="The least share of the selected concepts that is in the mask; without softmax, the way from their lowest "
                    "score to their highest.",
                ),
                io.String.Input(
                    "prompt",
                    optional=True,  # graphs that were saved before it was here run as they are
                    force_input=True,
                    tooltip="The picture's prompt, if you like. It is shown below the picture, and each word that names a concept has that "
                    "concept's colour, the fainter the less it is in the picture. It changes no mask.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask",
                    tooltip="What the mask view shows, 0 or 1: the mask that Concept Mask makes with the method threshold. One for each "
                    "picture, or several where a comma parts the names.",
                ),
                io.String.Output(
                    "pinned",
                    tooltip="The selected concepts, without unknown names. Connect it to Concept Mask's concept.",
                ),
            ],
        )

    @classmethod
    def execute(cls, maps, pinned, threshold, image=None, prompt=None):
        mask, known = selected_mask(maps, pinned, threshold, image)
        pictures = [] if image is None else [saved(jpeg(picture), ".jpg") for picture in pictures_for(maps, image)[: len(image)]]
        edges = [] if image is None else [saved(png(levels.flatten(0, 1)), ".png") for levels in with_edges(maps, image)]
        things = [saved(png(owners.flatten(0, 1)), ".png") for owners in with_things(maps, image)]
        used = {"pictures": pictures, "edges": edges, "things": things, "pinned": pinned, "threshold": threshold}
        shown = saved(json.dumps(explorable(maps, prompt or "") | used).encode(), ".json")
        return io.NodeOutput(mask.to(intermediate_device()), known, ui={"concept_explorer": [shown]})


def jpeg(picture) -> bytes:
    """Of a picture [H, W, 3] in 0..1, no larger than a browser needs."""
    drawn = Image.fromarray((picture * 255).round().clamp(0, 255).byte().numpy())
    drawn.thumbnail((LONGEST, LONGEST))
    file = bytes_io.BytesIO()
    drawn.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def png(levels) -> bytes:
    """Of numbers [H, W] uint8."""
    file = bytes_io.BytesIO()
    Image.fromarray(levels.numpy()).save(file, "PNG", compress_level=1)
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
