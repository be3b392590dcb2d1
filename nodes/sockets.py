"""What several nodes share: the pack's own socket types, an input, two tooltips."""

from comfy_api.latest import io

CATEGORY = "ConceptAttention"

Concepts = io.Custom("CONCEPT_ATTENTION_CONCEPTS")
Recording = io.Custom("CONCEPT_ATTENTION_RECORDING")
Maps = io.Custom("CONCEPT_ATTENTION_MAPS")

CONCEPT_TOOLTIP = (
    'A concept\'s name; "a + b" joins two into one; a comma parts several, which come one after the other; "*" is all of them. '
    "Those of the background list can be named too. Inpainting nodes want one mask for each picture: one concept, or some joined."
)
IMAGE_TOOLTIP = "The decoded picture, or a scaled copy: edges follow it, and its size is taken."


def spaces_input():
    return io.Combo.Input(
        "spaces",
        options=["output", "output + cross-attention", "all"],
        default="output",
        advanced=True,
        tooltip="What is recorded. Output is the method and gives the sharpest maps; cross-attention and value are for comparison.",
    )
