from comfy.utils import ProgressBar
from comfy_api.latest import io

from ..concept_core.families.registry import supported
from ..concept_core.record.encode_image import encode_image
from . import validation
from .sockets import CATEGORY, Concepts, Recording, keep_vectors_input, single_blocks_input, spaces_input


class EncodeImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionEncodeImage",
            display_name="Encode Image for Concepts",
            category=CATEGORY,
            description="Where is it in this picture? Shows any picture to the model once, with some noise, and records the concepts.",
            search_aliases=["zero-shot segmentation", "segment photo", "image to heatmap", "mask from image", "clipseg", "interpret image"],
            inputs=[
                io.Model.Input("model", tooltip=f"A model of one of these families: {supported()}."),
                Concepts.Input("concepts", tooltip="From Encode Concepts."),
                io.Conditioning.Input("positive", tooltip="A prompt that describes the picture, or an empty one."),
                io.Latent.Input("latent", tooltip="The picture, from VAE Encode with the model's own VAE. Decode takes the same latent."),
                io.Float.Input(
                    "noise",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How much noise to add to the picture, as a fraction of the model's schedule: 0 is none, 1 is noise only.",
                ),
                io.Int.Input(
                    "samples", default=1, min=1, max=64, tooltip="How many draws of noise to average. Each costs one pass of the model."
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=io.ControlAfterGenerate.fixed,
                    tooltip="Seed of the first draw of noise. Draw i uses seed + i.",
                ),
                spaces_input(),
                io.Boolean.Input(
                    "as_authors",
                    default=False,
                    advanced=True,
                    tooltip="Change the conditioning as the authors' code does when it encodes pictures: for Flux 1 guidance 0 and no "
                    "pooled prompt.",
                ),
                keep_vectors_input(),
                single_blocks_input(),
            ],
            outputs=[Recording.Output("recording", tooltip="Connect it to Decode Concept Maps, together with the same latent.")],
        )

    @classmethod
    def validate_inputs(cls, keep_vectors=None):
        return validation.passes(lambda: validation.keep_vectors(keep_vectors))

    @classmethod
    def execute(cls, model, concepts, positive, latent, samples, **options):
        progress = ProgressBar(samples)
        options |= {"samples": samples, "progress": lambda: progress.update(1)}
        return io.NodeOutput(encode_image(model, concepts, positive, latent["samples"], **options))


NODES = [EncodeImage]
