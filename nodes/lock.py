from comfy_api.latest import io

from ..concept_core.record.lock import with_lock
from ..concept_core.steer.live import Shape
from ..concept_core.steer.lock import KEEPS
from ..concept_core.steer.lock import Lock as Steered
from . import validation
from .sockets import CATEGORY, Recording, grow_input, live_concept_input, softness_input


class Lock(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionLock",
            display_name="Concept Lock",
            category=CATEGORY,
            description="Keeps the source's picture everywhere but where a concept is being painted, or there alone, in the same sampling.",
            search_aliases=["inpaint", "preserve background", "edit one thing", "mask while sampling"],
            inputs=[
                io.Model.Input("model", tooltip="The model that came out of the Apply node, directly or through other nodes."),
                Recording.Input("recording", tooltip="From that Apply node. Its Encode Concepts names the concept and what else is there."),
                live_concept_input(),
                io.Combo.Input(
                    "keep",
                    options=list(KEEPS),
                    default=KEEPS[0],
                    tooltip="Which part of the latent that the sampler starts from stays as it is. If the maps do not tell where the "
                    "concept is, all of it stays.",
                ),
                io.Float.Input(
                    "from_percent",
                    default=0.3,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Where in the sampling schedule the lock begins. Early steps do not show yet where the concept will be, so "
                    "nothing could be painted then. At 1 it never begins.",
                ),
                softness_input(),
                grow_input(),
            ],
            outputs=[
                io.Model.Output(
                    "model", tooltip="Connect it to the sampler or guider, which gets the source from VAE Encode for its latent."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, concept=None):
        return validation.passes(lambda: validation.chosen(concept))

    @classmethod
    def execute(cls, model, recording, concept, keep, from_percent, softness, grow):
        return io.NodeOutput(with_lock(model, Steered(recording, concept, from_percent, Shape(softness, grow), keep)))


NODES = [Lock]
