"""The socket types that only this pack's nodes share."""

from comfy_api.latest import io

CATEGORY = "ConceptAttention"

Concepts = io.Custom("CONCEPT_ATTENTION_CONCEPTS")
Recording = io.Custom("CONCEPT_ATTENTION_RECORDING")
Maps = io.Custom("CONCEPT_ATTENTION_MAPS")

SPACES_RECORDED = ["output", "output + cross-attention", "all"]

CONCEPT_TOOLTIP = (
    'A concept\'s name; "a + b" joins two into one; a comma parts several, which come one after the other; "*" is all of them. '
    "Those of the background list can be named too. Inpainting nodes want one mask for each picture: one concept, or some joined."
)
IMAGE_TOOLTIP = "The decoded picture, or a scaled copy: edges follow it, and its size is taken."
