from comfy.samplers import KSampler
from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ..concept_core.masks.several import parse_repaints, present_ones
from . import validation
from .sockets import CATEGORY, IMAGE_TOOLTIP, Maps, feather_input, mask_grow_input


class Repaint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionRepaint",
            display_name="Repaint Several Things",
            category=CATEGORY,
            description="Repaints several things of a picture one after the other, each with a prompt of its own and only where that "
            "concept is: the circle becomes a star, the square a heart.",
            search_aliases=["inpaint several", "detailer", "replace objects", "batch inpaint", "repaint each"],
            enable_expand=True,
            inputs=[
                io.Model.Input("model", raw_link=True, tooltip="The model that repaints, without Apply Concept Attention."),
                io.Clip.Input("clip", raw_link=True, tooltip="The CLIP that encodes the prompts."),
                io.Conditioning.Input("negative", raw_link=True, tooltip="The negative prompt, for all of them."),
                io.Latent.Input("samples", raw_link=True, tooltip="The picture that is repainted: what the maps were decoded with."),
                Maps.Input("maps", tooltip="Maps of that picture, from Decode or Load Concept Maps."),
                io.String.Input(
                    "things",
                    multiline=True,
                    default="",
                    tooltip='A line for each: the concept, a colon, and the prompt for its place: "circle: a yellow star". A semicolon is '
                    'as good as a new line. As in Concept Mask the concept may be "a + b", "a - b" or "a #2".',
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Seed of the noise. Each thing gets the same one.",
                ),
                io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Steps for each thing."),
                io.Float.Input("cfg", default=1.0, min=0.0, max=100.0, step=0.1, round=0.01, tooltip="As in the picture's sampler."),
                io.Combo.Input("sampler_name", options=KSampler.SAMPLERS, default="euler", tooltip="As in the picture's sampler."),
                io.Combo.Input("scheduler", options=KSampler.SCHEDULERS, default="simple", tooltip="As in the picture's sampler."),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much of what is there is painted over: 1 is all of it.",
                ),
                mask_grow_input(
                    "Grows each place by this many pixels, so that the new thing has room. A negative number shrinks it.", default=12
                ),
                feather_input("Fades each place out over this many pixels. For a model with Differential Diffusion."),
                io.Image.Input("image", optional=True, raw_link=True, tooltip=IMAGE_TOOLTIP),
            ],
            outputs=[io.Latent.Output("samples", tooltip="The picture with all of them repainted.")],
        )

    @classmethod
    def validate_inputs(cls, things=None):
        return validation.passes(lambda: validation.repaints(things))

    @classmethod
    def execute(cls, model, clip, negative, samples, maps, things, grow, feather, image=None, **sampling):
        graph = GraphBuilder()
        for concept, prompt in present_ones(maps, parse_repaints(things)):
            place = {"maps": maps, "concept": concept, **MASK, "grow": grow, "feather": feather, **({"image": image} if image else {})}
            mask = graph.node("ConceptAttentionMask", **place)
            positive = graph.node("CLIPTextEncode", clip=clip, text=prompt)
            latent = graph.node("SetLatentNoiseMask", samples=samples, mask=mask.out(0))
            conditionings = {"positive": positive.out(0), "negative": negative}
            samples = graph.node("KSampler", model=model, **conditionings, latent_image=latent.out(0), **sampling).out(0)
        return io.NodeOutput(samples, expand=graph.finalize())


MASK = {"method": "soft", "threshold": 0.5, "edge_radius": 32, "fill_holes": False, "min_area": 0.001, "invert": False}
NODES = [Repaint]
