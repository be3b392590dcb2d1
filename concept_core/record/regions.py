"""Conditionings that act only where a concept is being painted: before each pass they get the live map for their mask."""

from collections.abc import Sequence

from node_helpers import conditioning_set_values
from torch import Tensor

from ..steer.region import Region
from .live import Live

REGION = "concept_attention_region"


class Unresolved:
    """Stands among a conditioning's inputs for the model until the recorder of its region has given it a mask."""

    def process_cond(self, **kwargs):
        raise ValueError(
            "A Concept Region is steered by the recording of an Apply node whose model is not the one that samples here: connect the model "
            "that came out of that Apply node to this sampler."
        )


def with_region(conditioning, region: Region):
    """A CONDITIONING that acts only there. ValueError where it has a region already."""
    if any(REGION in values for _, values in conditioning):
        raise ValueError('This conditioning is in a Concept Region already. To join several concepts, write "a + b" into one.')
    marked = conditioning_set_values(conditioning, {REGION: region})
    for _, values in marked:
        values["model_conds"] = {**values.get("model_conds", {}), REGION: Unresolved()}
    return marked


def resolved(conds: Sequence[list[dict] | None], x_in: Tensor, timestep: Tensor, live: Live) -> list[list[dict] | None]:
    """The lists of conditionings with the live maps of a recording's regions for their masks, and without those that do not act yet.

    A mask that a conditioning has already is multiplied with it. ValueError where a list holds nothing but regions.
    """
    return [conditionings and _resolved(conditionings, x_in, timestep, live) for conditionings in conds]


def _resolved(conditionings, x_in, timestep, live):
    if all(REGION in one for one in conditionings):
        raise ValueError(
            "A prompt consists of Concept Regions alone, so nothing paints the rest of the picture: join them with the prompt for the "
            "whole picture, for example by Conditioning (Combine)."
        )
    acting = [_in_region(one, x_in, timestep, live) if _is_mine(one, live) else one for one in conditionings]
    return [one for one in acting if one is not None]


def _is_mine(conditioning, live):
    return REGION in conditioning and conditioning[REGION].recording is live.recording


def _in_region(conditioning, x_in, timestep, live):
    """A copy with the mask of its region; None where that does not act."""
    region = conditioning[REGION]
    if region.strength == 0 or not live.acts(region, timestep):
        return None
    mask = live.mask(region, x_in)
    if mask is None or not mask.any():
        return None
    mask = mask.expand(-1, *x_in.shape[2:]) * region.strength
    if "mask" in conditioning:
        mask = mask * conditioning["mask"].to(mask) * conditioning.get("mask_strength", 1.0)
    plain = {key: value for key, value in conditioning["model_conds"].items() if key != REGION}
    return {**conditioning, "model_conds": plain, "mask": mask, "mask_strength": 1.0}
