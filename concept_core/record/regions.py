"""Conditionings that act only where a concept is being painted: before each pass they get the live map for their mask."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from node_helpers import conditioning_set_values
from torch import Tensor

from ..maps.maps import Maps
from ..recording.recording import Recording
from ..steer.live import Shape, live_maps, live_mask
from ..steer.region import Region
from .receiver import Receiver

REGION = "concept_attention_region"
NOTHING_HEARD = "no step was recorded before"


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


@dataclass
class Live:
    """The live maps of one sampling, and what there is to say of those who wanted one.

    latent_image: what the sampling starts from. If an earlier sampling of this recording gave it out, that one's last maps hold until
    there are own ones. made: by concept, latent size and shape, the masks of what was heard last. wanting: by concept, why a picture's
    mask was empty so far.
    """

    recording: Recording
    receiver: Receiver
    latent_image: Tensor
    maps: Maps | None = None
    made: dict[tuple, Tensor] = field(default_factory=dict)
    heard: int = -1
    lost: set[str] = field(default_factory=set)
    wanting: dict[str, dict[int, str]] = field(default_factory=dict)

    def mask(self, concept: str, size: tuple[int, int], shape: Shape) -> Tensor | None:
        """[B, h, w] in 0..1 on the host; None where there is no map."""
        run = self.receiver.run
        if run.abort_reason:
            self.lose(concept, run.abort_reason)
            return None
        if self.heard != self.receiver.heard:
            self.maps, self.heard = self._latest(), self.receiver.heard
            self.made.clear()
        empty = self.wanting.setdefault(concept, dict.fromkeys(range(run.batch), NOTHING_HEARD))
        if self.maps is None:
            return None
        key = concept, size, shape
        if key not in self.made:
            self.made[key], found = live_mask(self.maps, concept, size, shape)
            for place, there in enumerate(found):
                if there:
                    empty.pop(place, None)
                elif place in empty:
                    empty[place] = "it was not found there"
        return self.made[key]

    def _latest(self) -> Maps | None:
        run = self.receiver.run
        if self.receiver.latest is not None:
            return live_maps(self.recording, run, self.receiver.latest)
        for older in reversed(self.recording.runs):
            rows = older.rows_of(self.latent_image) if older.grid == run.grid and older.steps else None
            if rows is not None and len(rows) == run.batch:
                return live_maps(self.recording, older, older.window(0, 1)[-1], rows)
        return None

    def lose(self, concept: str, reason: str):
        if concept not in self.lost:
            logging.warning("Concept Attention: nothing acts on %r from here on, since %s.", concept, reason)
            self.lost.add(concept)

    def tell(self):
        """The sampling has ended: what never acted."""
        for concept, empty in self.wanting.items():
            if concept in self.lost:
                continue
            for reason in dict.fromkeys(empty.values()):
                pictures = ", ".join(str(place + 1) for place, why in empty.items() if why == reason)
                logging.warning("Concept Attention: nothing acted on %r in picture %s, since %s.", concept, pictures, reason)


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
    if region.strength == 0 or not live.receiver.run.is_within(float(timestep[0]), region.from_percent, 1.0):
        return None
    mask = live.mask(region.concept, tuple(x_in.shape[-2:]), region.shape)
    if mask is None or not mask.any():
        return None
    mask = mask.to(x_in).reshape(len(mask), *[1] * (x_in.ndim - 4), *mask.shape[-2:]).expand(-1, *x_in.shape[2:]) * region.strength
    if "mask" in conditioning:
        mask = mask * conditioning["mask"].to(mask) * conditioning.get("mask_strength", 1.0)
    plain = {key: value for key, value in conditioning["model_conds"].items() if key != REGION}
    return {**conditioning, "model_conds": plain, "mask": mask, "mask_strength": 1.0}
