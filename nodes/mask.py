from comfy.model_management import intermediate_device
from comfy.utils import ProgressBar
from comfy_api.latest import io, ui

from ..concept_core.draw.segmentation import segment
from ..concept_core.maps.selection import select
from ..concept_core.masks.masks import METHODS, empty_mask, masks
from ..concept_core.masks.pixels import EDGE_RADIUS
from ..concept_core.masks.things import MIN_AREA
from . import validation
from .sockets import CATEGORY, CONCEPT_TOOLTIP, IMAGE_TOOLTIP, Maps, feather_input, mask_grow_input
from .told import Told


class Mask(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionMask",
            display_name="Concept Mask",
            category=CATEGORY,
            description="A mask of each chosen concept, for inpainting, compositing or regional prompts.",
            search_aliases=[
                "select object",
                "segment by text",
                "text to mask",
                "mask from text",
                "mask by prompt",
                "inpaint mask",
                "clipseg",
            ],
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode or Load Concept Maps."),
                io.String.Input("concept", default="", tooltip=CONCEPT_TOOLTIP),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default="soft",
                    tooltip="soft: 1 in the concept's core, grey at its edge, 0 far from it. threshold: shares of at least the threshold. "
                    "mean: above the map's mean, as in the paper. otsu: above the threshold that best splits the map in two; empty "
                    "where the map has one level only. winner: where no other concept, background list included, has more.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="For the method threshold: the smallest share to include.",
                ),
                io.Image.Input("image", optional=True, tooltip=IMAGE_TOOLTIP),
                io.Int.Input(
                    "edge_radius",
                    default=EDGE_RADIUS,
                    min=0,
                    max=64,
                    step=4,
                    advanced=True,
                    tooltip="About how far the mask's edges may move to follow the image's, in pixels of the sampled picture: 32 is two of "
                    "its tokens. 0 leaves them smooth. Without an image it does nothing.",
                ),
                mask_grow_input("Grows the mask by this many pixels on all sides. A negative number shrinks it."),
                feather_input("Fades the mask out over this many pixels, outwards from its edge."),
                io.Boolean.Input("fill_holes", default=False, advanced=True, tooltip="Fills holes in the mask."),
                io.Float.Input(
                    "min_area",
                    default=MIN_AREA,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    advanced=True,
                    tooltip="Drops separate parts that cover less of the picture than this share.",
                ),
                io.Boolean.Input(
                    "invert",
                    default=False,
                    advanced=True,
                    tooltip="Selects everything but the concept, as the last step. If the concept is not found, this is the whole picture.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask",
                    tooltip="One for each picture and chosen concept, at the picture's size; all of the first picture come first. "
                    "For a clip, all frames of the first concept come first.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, concept=None):
        return validation.passes(lambda: validation.chosen(concept))

    @classmethod
    def execute(cls, maps, concept, method, threshold, edge_radius, grow, feather, fill_holes, min_area, invert, image=None):
        told = Told()
        if concept.strip():
            progress = ProgressBar(maps.num_pictures * len(select(maps, concept)))
            shape = (edge_radius, grow, feather, fill_holes, min_area, invert)
            mask = masks(maps, concept, method, threshold, image, *shape, progress=lambda: progress.update(1), tell=told)
        else:
            told("no concept is named, so the mask is empty.")
            mask = empty_mask(maps, image) + invert
        mask = mask.to(intermediate_device())
        return io.NodeOutput(mask, ui=told.beside(ui.PreviewMask(mask)))


class Segmentation(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionSegmentation",
            display_name="Concept Segmentation",
            category=CATEGORY,
            description="All concepts at once: each spot in the colour of the concept that it shows most.",
            search_aliases=["segment by text", "semantic segmentation", "masks by prompt"],
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode or Load Concept Maps; of two concepts or more, the background list included."),
                io.Image.Input("image", optional=True, tooltip=IMAGE_TOOLTIP),
                io.Float.Input("opacity", default=0.6, min=0.0, max=1.0, step=0.05, tooltip="Opacity of the colours over the image."),
                io.Boolean.Input("labels", default=True, tooltip="Draw a legend: each concept's colour, name and presence."),
            ],
            outputs=[
                io.Image.Output("segmentation", tooltip="One picture for each of the maps'."),
                io.Mask.Output(
                    "masks",
                    tooltip="One for each picture and concept; they do not overlap. All of the first picture come first. "
                    "For a clip, all frames of the first concept come first.",
                ),
            ],
        )

    @classmethod
    def execute(cls, maps, opacity, labels, image=None):
        progress = ProgressBar(maps.num_pictures)
        told = Told()
        made = segment(maps, image, opacity, labels, progress=lambda: progress.update(1), tell=told)
        segmentation, masks = (it.to(intermediate_device()) for it in made)
        return io.NodeOutput(segmentation, masks, ui=told.beside(ui.PreviewImage(segmentation)))


NODES = [Mask, Segmentation]
