"""The live maps of a sampling that goes on, for those who steer by them."""

import logging
from dataclasses import dataclass, field

from torch import Tensor

from ..maps.maps import Maps
from ..recording.recording import Recording
from ..steer.live import Shape, live_maps, live_mask
from ..steer.steering import NOT_FOUND, NOTHING_HEARD, Steering
from .receiver import Receiver


@dataclass
class Live:
    """The live maps of one sampling, and what there is to say of those who wanted one.

    latent_image, noise: what the sampling starts from. If an earlier sampling of this recording gave that latent out, its last maps hold
    until there are own ones. made: by concept, latent size and shape, the masks of what was heard last, and where the concept is found.
    lost: what was said of maps that are gone. wanting: by who steers, why a picture's mask was empty so far.
    """

    recording: Recording
    receiver: Receiver
    latent_image: Tensor
    noise: Tensor
    maps: Maps | None = None
    made: dict[tuple[str, tuple[int, int], Shape], tuple[Tensor, list[bool]]] = field(default_factory=dict)
    heard: int = -1
    lost: dict[Steering, str] = field(default_factory=dict)
    wanting: dict[Steering, dict[int, str]] = field(default_factory=dict)

    def acts(self, steering: Steering, sigma: Tensor) -> bool:
        """Whether it does at this point of the schedule."""
        return self.receiver.run.is_within(float(sigma[0]), steering.from_percent, 1.0)

    def mask(self, steering: Steering, like: Tensor) -> Tensor | None:
        """[B, h, w] in 0..1 for a latent, with a frame where that has one, in its type and on its device; None where there is no map."""
        run, size = self.receiver.run, like.shape[-2:]
        if run.abort_reason:
            self.lose(steering, run.abort_reason)
            return None
        if self.heard != self.receiver.heard:
            self.maps, self.heard = self._latest(), self.receiver.heard
            self.made.clear()
        empty = self.wanting.setdefault(steering, dict.fromkeys(range(run.batch), NOTHING_HEARD))
        if self.maps is None:
            return None
        key = steering.concept, tuple(size), steering.shape
        if key not in self.made:
            self.made[key] = live_mask(self.maps, *key)
        mask, found = self.made[key]
        for place, there in enumerate(found):
            if there:
                empty.pop(place, None)
            elif place in empty or steering.by_last_step:
                empty[place] = NOT_FOUND
        return mask.to(like).reshape(len(mask), *[1] * (like.ndim - 4), *size)

    def acting(self) -> list[Tensor]:
        """[h, w] on the host: the first picture's masks that this step was steered by."""
        return [mask[0] for mask, _ in self.made.values()]

    def _latest(self) -> Maps | None:
        run = self.receiver.run
        if self.receiver.latest is not None:
            return live_maps(self.recording, run, self.receiver.latest)
        for older in reversed(self.recording.runs):
            rows = older.rows_of(self.latent_image) if older.grid == run.grid and older.steps else None
            if rows is not None and len(rows) == run.batch:
                return live_maps(self.recording, older, older.window(0, 1)[-1], rows)
        return None

    def beginning(self) -> tuple[Tensor, Tensor]:
        """(latent, noise) that the picture's sampling began with: that of an earlier one where this goes on with the noise that it left."""
        for older in reversed(self.recording.runs):
            rows = older.rows_of(self.latent_image) if older.beginning else None
            if older.beginning and rows is not None:
                latent, noise = older.beginning
                return latent[rows], noise[rows]
        return self.latent_image, self.noise

    def lose(self, steering: Steering, reason: str):
        said = steering.if_lost(reason)
        if said not in self.lost.values():
            logging.warning("Concept Attention: %s.", said)
        self.lost[steering] = said

    def tell(self):
        """The sampling has ended: what never acted."""
        said = [
            steering.if_empty(", ".join(str(place + 1) for place, why in empty.items() if why == reason), reason)
            for steering, empty in self.wanting.items()
            if steering not in self.lost
            for reason in dict.fromkeys(empty.values())
        ]
        for message in dict.fromkeys(said):
            logging.warning("Concept Attention: %s.", message)
