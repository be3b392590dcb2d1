from comfy_api.latest import io

from ..concept_core.concepts.prompt_words import MOST, things_named
from .sockets import CATEGORY

PHRASES, WORDS = "phrases", "single words"


class ConceptsFromPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionConceptsFromPrompt",
            display_name="Concepts from Prompt",
            category=CATEGORY,
            description="Makes a concept of everything that the prompt names, to see which part of it the picture shows and where.",
            search_aliases=["explain prompt", "prompt words", "why did my prompt fail", "extract nouns", "keywords", "daam"],
            inputs=[
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="",
                    tooltip="The picture's prompt. Weights, embeddings, LoRAs and words that name nothing, such as the or best quality, "
                    "are left out.",
                ),
                io.Combo.Input(
                    "split",
                    options=[PHRASES, WORDS],
                    default=PHRASES,
                    tooltip='Phrases keep a thing with its adjectives: "red hat". Single words take each alone: "red" and "hat".',
                ),
                io.Int.Input(
                    "max_count",
                    default=MOST,
                    min=1,
                    max=256,
                    tooltip="How many concepts are made, at most: the first ones of the prompt. Each takes some memory and time.",
                ),
            ],
            outputs=[
                io.String.Output("concepts", tooltip="The concepts, with commas between them, for concepts of Encode Concepts."),
            ],
        )

    @classmethod
    def execute(cls, prompt, split, max_count):
        found = things_named(prompt, max_count, split == WORDS)
        if not found:
            raise ValueError("prompt: there is no word in it that names something. Write what the picture is to show.")
        return io.NodeOutput(", ".join(found))


NODES = [ConceptsFromPrompt]
