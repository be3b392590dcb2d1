import torch
from comfy.model_management import intermediate_device
from comfy.utils import ProgressBar
from comfy_api.latest import io, ui

from ..concept_core.maps.selection import select
from ..concept_core.masks.boxes import boxes
from ..concept_core.masks.instances import ORDERS, instances
from ..concept_core.masks.masks import empty_mask
from ..concept_core.masks.things import MIN_AREA, SPLIT
from . import validation
from .sockets import CATEGORY, IMAGE_TOOLTIP, SELECTION_TOOLTIP, Maps
from .told import Told


class Instances(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionInstances",
            display_name="Concept Instances",
            category=CATEGORY,
            description="A mask for each thing where a concept is there several times: the left dog and the right dog.",
            search_aliases=["instance segmentation", "separate objects", "count objects", "split mask", "mask to segs", "detect"],
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode or Load Concept Maps."),
                io.String.Input("concept", default="", tooltip=SELECTION_TOOLTIP),
                io.Image.Input("image", optional=True, tooltip=IMAGE_TOOLTIP),
                io.Combo.Input(
                    "order",
                    options=list(ORDERS),
                    default="left to right",
                    tooltip="Which thing comes first. Surest first goes by the highest share of the map in each thing.",
                ),
                io.Int.Input(
                    "max_count",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="The most things to give for each picture and concept. 1 gives the first only. 0 gives all.",
                ),
                io.Float.Input(
                    "min_area",
                    default=MIN_AREA,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Leaves out things that cover less of the picture than this share.",
                ),
                io.Float.Input(
                    "split",
                    default=SPLIT,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Two things that touch are told apart if the map falls by at least this much between them. 1 is the map's "
                    "whole range. Raise it if one thing is cut in two. Lower it if two things come as one.",
                ),
                io.Int.Input(
                    "skip",
                    default=0,
                    min=0,
                    max=4096,
                    advanced=True,
                    tooltip="Leaves out that many things before the first that is given. With max_count 1, a skip of 1 gives the second.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "masks",
                    tooltip="One for each thing, at the picture's size. All of the first picture come first. Empty if there is none.",
                ),
                io.BoundingBox.Output("boxes", tooltip="For each picture one box for each thing, named after it, such as dog 2."),
                io.Int.Output("count", is_output_list=True, tooltip="For each picture how many things are given."),
            ],
        )

    @classmethod
    def validate_inputs(cls, concept=None):
        return validation.passes(lambda: validation.chosen(concept))

    @classmethod
    def execute(cls, maps, concept, order, max_count, min_area, split, skip, image=None):
        told = Told()
        progress = ProgressBar(maps.num_pictures * len(select(maps, concept)))
        found = instances(maps, concept, image, min_area, max_count, order, split, skip, lambda: progress.update(1), told)
        things = [torch.from_numpy(thing.mask) for row in found for thing in row]
        masks = (torch.stack(things) if things else empty_mask(maps, image)[:1]).to(intermediate_device())
        places = boxes([[thing.found for thing in row] for row in found])
        return io.NodeOutput(masks, places, [len(row) for row in found], ui=told.beside(ui.PreviewMask(masks)))


NODES = [Instances]
