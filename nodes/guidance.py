from comfy_api.latest import io

from ..concept_core.record.guidance import with_guidance
from ..concept_core.steer.guidance import Guidance as Steered
from . import validation
from .sockets import CATEGORY, Recording, live_concept_input


class Guidance(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionGuidance",
            display_name="Concept Guidance",
            category=CATEGORY,
            description="Scales CFG where a concept is being painted: more of the prompt on the face, less in the sky.",
            search_aliases=["regional cfg", "cfg mask", "prompt strength of one thing"],
            inputs=[
                io.Model.Input("model", tooltip="The model that came out of the Apply node, directly or through other nodes."),
                Recording.Input("recording", tooltip="From that Apply node. Its Encode Concepts names the concept and what else is there."),
                live_concept_input(),
                io.Float.Input(
                    "scale",
                    default=1.5,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="Multiplies the sampler's cfg in the concept's core. At 1 nothing changes.",
                ),
                io.Float.Input(
                    "from_percent",
                    default=0.1,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Where in the sampling schedule it begins. Early steps do not show yet where the concept will be. At 1 it "
                    "never begins.",
                ),
            ],
            outputs=[io.Model.Output("model", tooltip="Connect it to the sampler or guider, whose cfg must not be 1.")],
        )

    @classmethod
    def validate_inputs(cls, concept=None):
        return validation.passes(lambda: validation.chosen(concept))

    @classmethod
    def execute(cls, model, recording, concept, scale, from_percent):
        return io.NodeOutput(with_guidance(model, Steered(recording, concept, from_percent, scale=scale)))


NODES = [Guidance]
