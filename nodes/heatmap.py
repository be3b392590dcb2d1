from comfy.model_management import intermediate_device
from comfy.utils import ProgressBar
from comfy_api.latest import io, ui

from ..concept_core.draw.colormaps import COLORMAPS
from ..concept_core.draw.heatmaps import SCALES, heatmaps
from .sockets import CATEGORY, Maps


class Heatmap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionHeatmap",
            display_name="Concept Heatmap",
            category=CATEGORY,
            description="Draws each concept's map, by itself or over the picture.",
            search_aliases=["attention map", "saliency map", "attribution", "daam", "interpret"],
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode or Load Concept Maps."),
                io.Image.Input("image", optional=True, tooltip="The decoded picture: heatmaps are laid over it and take its size."),
                io.Combo.Input("colormap", options=list(COLORMAPS), default="plasma", tooltip="Colours of the heatmap, from low to high."),
                io.Combo.Input(
                    "scale",
                    options=list(SCALES),
                    default=SCALES[0],
                    tooltip="What the lowest and highest colours stand for: the extremes of all of a picture's maps, of each map alone, "
                    "or shares of 0 and 1. A map alone looks strong even where its concept is absent.",
                ),
                io.Float.Input("opacity", default=0.7, min=0.0, max=1.0, step=0.05, tooltip="Opacity of the heatmap over the picture."),
                io.Boolean.Input("labels", default=True, tooltip="Write each concept's name and presence (0 to 1) in the corner."),
                io.Boolean.Input(
                    "over_grey",
                    default=False,
                    optional=True,  # graphs that were saved before it was here run as they are
                    tooltip="Lay the heatmap over the image in grey and leave it clear where the map is low, as Concept Explorer does: "
                    "then the image's own colours are not taken for the heatmap's.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "heatmaps",
                    tooltip="One picture per concept; of several pictures, all concepts of the first come first. "
                    "For a clip, all frames of the first concept come first.",
                )
            ],
        )

    @classmethod
    def execute(cls, maps, colormap, scale, opacity, labels, image=None, over_grey=False):
        progress = ProgressBar(maps.num_pictures * maps.num_shown)
        made = heatmaps(maps, image, colormap, scale, opacity, labels, over_grey, progress=lambda: progress.update(1))
        made = made.to(intermediate_device())
        return io.NodeOutput(made, ui=ui.PreviewImage(made))


NODES = [Heatmap]
