"""The model families that have a concept stream. A new family is one file here and one line in FAMILIES."""

from .flux import Flux1

FAMILIES = [Flux1]


def family_of(model):
    """The family of a ComfyUI MODEL; ValueError names the model's class and the families there are."""
    network = model.get_model_object("diffusion_model")
    for family in FAMILIES:
        if family.matches(network):
            return family
    supported = ", ".join(family.name for family in FAMILIES)
    raise ValueError(f"Concept Attention does not know the model family {type(model.model).__name__}. Supported: {supported}.")
