from comfy_api.latest import io

from ..concept_core.record.regions import with_region
from ..concept_core.steer.live import Shape
from ..concept_core.steer.region import Region as Steered
from . import validation
from .sockets import CATEGORY, Recording, grow_input, live_concept_input, softness_input


class Region(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionRegion",
            display_name="Concept Region",
            category=CATEGORY,
            description="A prompt that acts only where a concept is being painted, in the same sampling: no mask to draw, no second pass.",
            search_aliases=["regional prompt", "attention couple", "mask prompt", "lora on one thing"],
            inputs=[
                io.Conditioning.Input("conditioning", tooltip="The prompt for the concept's place. Its LoRA hooks act only there too."),
                Recording.Input(
                    "recording",
                    tooltip="From the Apply node whose model the sampler gets. "
                    "Its Encode Concepts names the concept and what else is there.",
                ),
                live_concept_input(),
                io.Float.Input(
                    "from_percent",
                    default=0.1,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Where in the sampling schedule the prompt starts to act. Too early nothing shows yet where the concept will "
                    "be, and too late it is painted already. At 1 it never acts.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How much the prompt counts in the concept's core beside other prompts there. At 0 it never acts.",
                ),
                softness_input(),
                grow_input(),
                io.Boolean.Input(
                    "invert",
                    default=False,
                    advanced=True,
                    tooltip="The prompt acts everywhere but where the concept is. If the concept is not found, the prompt does not act.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    "conditioning",
                    tooltip="Join it with the prompt for the whole picture: by Cond Set Default Combine, which leaves the place to "
                    "this one, or by Conditioning (Combine), which mixes the two there.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, concept=None):
        return validation.passes(lambda: validation.chosen(concept))

    @classmethod
    def execute(cls, conditioning, recording, concept, from_percent, strength, softness, grow, invert):
        region = Steered(recording, concept, from_percent, Shape(softness, grow, invert), strength)
        return io.NodeOutput(with_region(conditioning, region))


NODES = [Region]
