from comfy_api.latest import io

from ..concept_core.maps.decode import ORDERS, STEPS, decode
from ..concept_core.recording.scores import SPACES
from . import validation
from .sockets import CATEGORY, Maps, Recording


class Decode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionDecode",
            display_name="Decode Concept Maps",
            category=CATEGORY,
            description="Turns a recording into one map per concept. Changing its settings samples nothing again.",
            search_aliases=["attention map", "cross attention", "saliency"],
            inputs=[
                Recording.Input("recording", tooltip="From Apply Concept Attention, Encode Image for Concepts or Load Concept Recording."),
                io.Latent.Input(
                    "samples",
                    tooltip="The latent that came out of the sampler, unchanged. It tells which sampling to decode. Decode one "
                    "clip at a time.",
                ),
                io.Combo.Input(
                    "space",
                    options=[*SPACES, "auto"],
                    default="auto",
                    advanced=True,
                    tooltip="Output is the method. The other two are for comparison and must be recorded by Apply. Auto is output, and "
                    "cross-attention for models that have nothing else, such as SDXL.",
                ),
                io.String.Input(
                    "blocks",
                    default="auto",
                    advanced=True,
                    tooltip="Which blocks of the model to average: auto (those that suit the model), all, or numbers from 0, such as "
                    "15-18 or 3,5,7-9; s0-s9 are single blocks, where they were recorded.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    advanced=True,
                    tooltip="Leave out sampling steps before this point of the schedule.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    advanced=True,
                    tooltip="Leave out sampling steps after this point of the schedule.",
                ),
                io.Boolean.Input(
                    "softmax",
                    default=True,
                    advanced=True,
                    tooltip="On: concepts compete, and a map holds a concept's share of every spot. Off: raw scores.",
                ),
                io.Float.Input(
                    "temperature",
                    default=1.0,
                    min=0.01,
                    max=10000.0,
                    step=0.1,
                    advanced=True,
                    tooltip="Above 1 softens the competition between concepts, below 1 sharpens it. Without softmax it does nothing.",
                ),
                io.Combo.Input(
                    "order",
                    options=list(ORDERS),
                    default="auto",
                    optional=True,  # graphs that were saved before it was here run as they are
                    advanced=True,
                    tooltip="Which comes first, the softmax over concepts or the mean over steps and blocks. Auto does what the method's "
                    "authors do with the model. Where they publish nothing, the softmax comes first.",
                ),
                io.Combo.Input(
                    "steps",
                    options=list(STEPS),
                    default="auto",
                    optional=True,  # as order
                    advanced=True,
                    tooltip="Which of the steps between start and end count: auto (the late ones, which tell most) or all.",
                ),
                Recording.Input(
                    "recording_before",
                    optional=True,
                    tooltip="Where two models sample one after the other, as in Wan 2.2 14B: the recording of the first one's Apply node. "
                    "recording and samples come from the second, and the steps of both count.",
                ),
            ],
            outputs=[Maps.Output("maps", tooltip="Connect them to Concept Heatmap, Concept Mask, Concept Explorer and the others.")],
        )

    @classmethod
    def validate_inputs(cls, blocks=None, start_percent=None, end_percent=None):
        return validation.passes(lambda: validation.blocks(blocks), lambda: validation.window(start_percent, end_percent))

    @classmethod
    def execute(cls, recording, samples, **options):
        return io.NodeOutput(decode(recording, samples["samples"], **options))


NODES = [Decode]
