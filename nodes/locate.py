from comfy.utils import ProgressBar
from comfy_api.latest import io, ui

from ..concept_core.maps.selection import select
from ..concept_core.masks.boxes import boxes, detections, points, report
from .sockets import CATEGORY, CONCEPT_TOOLTIP, IMAGE_TOOLTIP, Maps


class Locate(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionLocate",
            display_name="Locate Concepts",
            category=CATEGORY,
            description="How sure the maps are that a concept is there at all, and a box and a point where it is, for SAM3 and its kin.",
            search_aliases=["bounding box", "detect", "grounding", "presence score", "text to box", "text to point"],
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode or Load Concept Maps."),
                io.String.Input("concept", default="*", tooltip=CONCEPT_TOOLTIP),
                io.Image.Input("image", optional=True, tooltip=IMAGE_TOOLTIP),
            ],
            outputs=[
                io.BoundingBox.Output("boxes", tooltip="For each picture or frame one box for each concept that is found in it."),
                io.String.Output(
                    "points",
                    is_output_list=True,
                    tooltip="For each picture or frame and each concept, a point well inside it as JSON, for positive_coords. The list is "
                    "empty if it is not found.",
                ),
                io.Float.Output(
                    "presence",
                    is_output_list=True,
                    tooltip="For each picture or frame and each concept, 0 to 1. It is near 0 where the concept is absent and the rest "
                    "is named.",
                ),
                io.String.Output("report", tooltip="Boxes, points and presence as text, one line for each picture or frame and concept."),
            ],
        )

    @classmethod
    def execute(cls, maps, concept, image=None):
        progress = ProgressBar(maps.num_pictures * len(select(maps, concept)))
        found = detections(maps, concept, image, progress=lambda: progress.update(1))
        scores = [place.presence for row in found for place in row]
        text = report(found, "frame" if maps.is_clip else "picture")
        return io.NodeOutput(boxes(found), points(found), scores, text, ui=ui.PreviewText(text))


NODES = [Locate]
