"""The socket types that only this pack's nodes share."""

from comfy_api.latest import io

CATEGORY = "ConceptAttention"

Concepts = io.Custom("CONCEPT_ATTENTION_CONCEPTS")
Recording = io.Custom("CONCEPT_ATTENTION_RECORDING")
Maps = io.Custom("CONCEPT_ATTENTION_MAPS")
