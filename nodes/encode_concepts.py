from comfy.utils import ProgressBar
from comfy_api.latest import io

from ..concept_core.concepts.prompt_words import GENERIC_WORDS
from ..concept_core.families.encode_concepts import encode_concepts
from ..concept_core.families.encode_prompt_words import encode_prompt_words
from . import validation
from .sockets import CATEGORY, Concepts
from .told import shown


class EncodeConcepts(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionEncodeConcepts",
            display_name="Encode Concepts",
            category=CATEGORY,
            description="Names the things to look for in the picture. They need not be in the prompt.",
            search_aliases=["concept attention", "text to mask", "mask from text", "segment by words", "daam"],
            inputs=[
                io.Clip.Input("clip", tooltip="The CLIP that belongs to the model, the same that encodes the prompt."),
                io.String.Input(
                    "concepts",
                    multiline=True,
                    default="dragon, rock, sky",
                    tooltip="What to look for, separated by commas or lines. Each gets a map. Simple words work best. "
                    "Prompt syntax such as (word:1.2) has no meaning here.",
                ),
                io.String.Input(
                    "background",
                    default="",
                    tooltip="Concepts that compete with those above but are not shown, for example: background, floor. Optional.",
                ),
                io.Combo.Input(
                    "tokens",
                    options=["all tokens", "first token", "last token", "auto"],
                    default="auto",
                    advanced=True,
                    tooltip="A long word or several words are several tokens. Auto: all of them with T5 and CLIP, the last one with "
                    "language models, in which it alone has read the others. First token: as in the authors' code for Flux 1.",
                ),
                io.Combo.Input(
                    "encoder",
                    options=["auto", "t5", "clip"],
                    default="auto",
                    advanced=True,
                    tooltip="The text encoder that reads the concepts. Auto takes the one that fits the model. For SD3 there is a choice: "
                    "CLIP, which auto takes, or T5 where it is loaded.",
                ),
                io.String.Input(
                    "prompt",
                    default="",
                    optional=True,  # graphs that were saved before it was here run as they are
                    advanced=True,
                    tooltip="The picture's prompt, if you like. Whatever else it names competes with the concepts, unseen, as the "
                    "background does. This makes the map of a single concept sharp. Prompt syntax in it is left out.",
                ),
            ],
            outputs=[Concepts.Output("concepts", tooltip="The encoded concepts, for Apply Concept Attention.")],
        )

    @classmethod
    def validate_inputs(cls, concepts=None):
        return validation.passes(lambda: validation.concepts(concepts))

    @classmethod
    def execute(cls, clip, concepts, **options):
        encoded = encode_concepts(clip, concepts, **options, generic=GENERIC_WORDS, progress=ProgressBar(1).update_absolute)
        unseen = encoded.names[encoded.num_shown :]
        return io.NodeOutput(encoded, ui=shown([f"Competing unseen: {', '.join(unseen)}"] if unseen else []))


class PromptWords(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionPromptWords",
            display_name="Prompt Words",
            category=CATEGORY,
            description="Takes words of the prompt as concepts: where does the model look for each of them? For SDXL and Stable Diffusion "
            "as DAAM does it.",
            search_aliases=["daam", "attention map", "cross attention", "word heatmap", "prompt attention"],
            inputs=[
                io.Clip.Input("clip", tooltip="The CLIP that encodes the prompt."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip="The sampler's prompt, exactly as it is, weights and embeddings included. Connect one text to both.",
                ),
                io.String.Input(
                    "words",
                    default="",
                    tooltip="The words to show, separated by commas. Several words are a phrase. Empty: every word that names something.",
                ),
                io.Combo.Input(
                    "prompt",
                    options=["positive", "negative"],
                    default="positive",
                    optional=True,  # graphs that were saved before it was here run as they are
                    advanced=True,
                    tooltip="Which of the sampler's prompts the text is. The model reads a negative prompt only where cfg is above 1.",
                ),
            ],
            outputs=[Concepts.Output("concepts", tooltip="The words as concepts, for Apply Concept Attention.")],
        )

    @classmethod
    def execute(cls, clip, text, words, prompt="positive"):
        return io.NodeOutput(encode_prompt_words(clip, text, words, prompt))


NODES = [EncodeConcepts, PromptWords]
