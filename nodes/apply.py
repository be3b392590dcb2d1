from comfy_api.latest import io

from ..concept_core.draw.preview import strongest_so_far
from ..concept_core.families.registry import supported
from ..concept_core.record.sampler import record_concepts
from . import validation
from .sockets import CATEGORY, Concepts, Recording, keep_vectors_input, single_blocks_input, spaces_input


class Apply(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionApply",
            display_name="Apply Concept Attention",
            category=CATEGORY,
            description="Lets the model record where it sees each concept while it samples. The picture stays the same, bit for bit.",
            search_aliases=["cross attention", "attention map", "daam", "interpret"],
            inputs=[
                io.Model.Input("model", tooltip=f"A model of one of these families: {supported()}."),
                Concepts.Input("concepts", tooltip="From Encode Concepts."),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Where in the sampling schedule recording starts. Nothing is computed before it.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    tooltip="Where in the sampling schedule recording ends. Nothing is computed after it.",
                ),
                spaces_input(),
                keep_vectors_input(),
                io.Boolean.Input(
                    "preview",
                    default=False,
                    optional=True,  # as keep_vectors
                    advanced=True,
                    tooltip="While sampling, show the strongest concept at each spot in its colour, over the sampler's preview.",
                ),
                single_blocks_input(),
            ],
            outputs=[
                io.Model.Output("model", tooltip="The model that records. Connect it to the sampler or guider."),
                Recording.Output(
                    "recording", tooltip="Connect it to Decode Concept Maps, together with the latent that comes out of the sampler."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, start_percent=None, end_percent=None, keep_vectors=None):
        return validation.passes(lambda: validation.window(start_percent, end_percent), lambda: validation.keep_vectors(keep_vectors))

    @classmethod
    def execute(cls, model, concepts, preview=False, **options):
        draw = strongest_so_far if preview else None
        return io.NodeOutput(*record_concepts(model, concepts, **options, preview=draw))


NODES = [Apply]
