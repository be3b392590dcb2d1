"""What several nodes share: the pack's own socket types, some inputs, two tooltips."""

from comfy_api.latest import io

CATEGORY = "ConceptAttention"

Concepts = io.Custom("CONCEPT_ATTENTION_CONCEPTS")
Recording = io.Custom("CONCEPT_ATTENTION_RECORDING")
Maps = io.Custom("CONCEPT_ATTENTION_MAPS")

ONE_MASK = "Inpainting nodes want one mask for each picture: one concept, or some joined."
SELECTION_TOOLTIP = (
    'A concept\'s name; "a + b" joins two into one; "a - b" is a without b; a comma separates several, which come one after the other; '
    f'"*" is all of them, and "* - a" all but a. Those of the background list can be named too. {ONE_MASK}'
)
CONCEPT_TOOLTIP = SELECTION_TOOLTIP.replace(ONE_MASK, f'"a #2" is the second a from the left, where there are several. {ONE_MASK}')
IMAGE_TOOLTIP = "The decoded picture or clip, or a scaled copy: edges follow it, and its size is taken."


def keep_vectors_input():
    return io.String.Input(
        "keep_vectors",
        default="",
        optional=True,  # graphs that were saved before it was here run as they are
        advanced=True,
        tooltip="For research: also keep the output vectors of these blocks, such as 15-18 or all. They stay in RAM, in 16 bit, and "
        "Save Concept Recording writes them. Empty keeps none. The log tells their size first.",
    )


def single_blocks_input():
    return io.Boolean.Input(
        "single_blocks",
        default=False,
        optional=True,  # as keep_vectors
        advanced=True,
        tooltip="For research: record the single blocks of Flux 1 or Flux.2 too. This takes longer. Decode uses them only if its blocks "
        "input names them, such as s0-s9.",
    )


def spaces_input():
    return io.Combo.Input(
        "spaces",
        options=["output", "output + cross-attention", "all", "auto"],
        default="auto",
        advanced=True,
        tooltip="What to record. Output is the method and gives the sharpest maps; cross-attention and value are for comparison. Auto "
        "is output, and cross-attention for models that have nothing else, such as SDXL.",
    )


def live_concept_input():
    return io.String.Input("concept", default="", tooltip='Name of a concept; "a + b" joins two; "a - b" is a without b.')


def softness_input():
    return io.Float.Input(
        "softness",
        default=0.0,
        min=0.0,
        max=512.0,
        step=8.0,
        advanced=True,
        tooltip="Fades the place out over this many pixels, outwards from its edge.",
    )


def grow_input():
    return io.Int.Input(
        "grow",
        default=0,
        min=-512,
        max=512,
        step=8,
        advanced=True,
        tooltip="Grows the place by this many pixels on all sides. A negative number shrinks it. It goes in steps of the latent's pixels.",
    )


def mask_grow_input(tooltip: str, default: int = 0):
    return io.Int.Input("grow", default=default, min=-512, max=512, tooltip=tooltip)


def feather_input(tooltip: str):
    return io.Float.Input("feather", default=0.0, min=0.0, max=512.0, step=0.5, tooltip=tooltip)
