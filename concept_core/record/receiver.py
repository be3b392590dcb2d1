"""Takes up what a sampling's steps hold, on its way to the host and after."""

import logging
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..recording.half_precision import HALF_PRECISION_FROM, HalfPrecisionStep
from ..recording.host_copy import HostCopy
from ..recording.prompt_words import added_up, word_maps
from ..recording.recording import Run
from ..recording.scores import PROMPT_WORDS
from ..recording.vectors import Vectors

MAX_NBYTES = 4 << 30  # of one sampling's scores
MAX_CLIP_NBYTES = 1 << 30  # of a clip's, whose steps are joined beyond that


@dataclass
class Receiver:
    """Fills a run while it is sampled.

    in_flight: (spaces, copies of the sigma and of each space's scores), oldest first. calls: how many were averaged, by sigma.
    heard: how many were received. latest: the scores of the last one, where the model computes.
    sums: of prompt words, blocks of layers [B, heads, T, h, w], and the last sigma that is in them.
    made: by key and device, what ForwardPass.once_a_sampling has made. joined: how many steps in a row are kept as their mean. members:
    how many each one that is kept stands for, by its sigma.
    """

    run: Run
    in_flight: list[tuple[tuple[str, ...], HostCopy]] = field(default_factory=list)
    calls: dict[float, int] = field(default_factory=dict)
    heard: int = 0
    latest: dict[str, Tensor] | None = None
    sums: list[list[Tensor]] | None = None
    last_sigma: Tensor | None = None
    made: dict[tuple, Tensor] = field(default_factory=dict)
    joined: int = 1
    members: dict[float, int] = field(default_factory=dict)

    def add(self, sigma: Tensor, scores: dict[str, Tensor], vectors: Vectors | None = None):
        """Scores [blocks, B, C, N] at one sigma, and the vectors that they come from, if those are kept."""
        if vectors is not None:
            self.run.vectors.append(vectors)
        self.heard += 1
        self.latest = scores
        self.in_flight.append((tuple(scores), HostCopy.start([sigma, *scores.values()])))
        self.land(wait=False)
        if self.run.nbytes + sum(copies.nbytes for _, copies in self.in_flight) > MAX_NBYTES:
            self.abort(f"the scores of one sampling grew beyond {MAX_NBYTES >> 30} GB")

    def add_up(self, sigma: Tensor, sums: list[list[Tensor]]):
        """Add those of one call, which stay where the model computes until settle_words."""
        self.heard += 1
        self.sums, self.last_sigma = added_up(self.sums, sums), sigma

    def settle_words(self, token_weights: Tensor):
        """The sampling has ended: its only step is what DAAM makes of the sums. token_weights: [C, T] of the tokens that were heard."""
        if self.sums is not None and self.last_sigma is not None:
            maps = word_maps(self.sums, token_weights.to(self.last_sigma.device), self.run.grid[1:])
            self.run.steps[float(self.last_sigma)] = {PROMPT_WORDS: maps.cpu()}
            self.sums = None

    def land(self, wait: bool):
        """Take up what has come to the host, or wait for all of it."""
        steps = self.run.steps
        while self.in_flight and (wait or self.in_flight[0][1].has_landed()):
            spaces, copies = self.in_flight.pop(0)
            sigma, *landed = copies.finish()
            sigma, scores = float(sigma), dict(zip(spaces, landed))
            count = self.calls[sigma] = self.calls.get(sigma, 0) + 1
            if count > 1 and sigma in steps:
                scores = {space: steps[sigma][space] + (scores[space] - steps[sigma][space]) / count for space in scores}
            elif self.run.size[0] > 1:
                self.spare_room()
            steps[sigma] = scores

    def spare_room(self):
        """Those of a clip that are there go into half precision if they are much, and are joined if they are too much."""
        steps, members = self.run.steps, self.members
        if self.run.score_nbytes <= HALF_PRECISION_FROM:
            return
        for sigma, step in steps.items():
            if not isinstance(step, HalfPrecisionStep):
                steps[sigma] = HalfPrecisionStep(step)
        if len(steps) > 1:
            before, latest = list(steps)[-2:]
            if members.get(before, 1) < self.joined:
                self.join(before, latest)
        while self.run.score_nbytes > MAX_CLIP_NBYTES and len(steps) > 1:
            self.joined *= 2
            logging.info("Concept Attention keeps the mean of every %d steps of this clip: its scores grew beyond 1 GB.", self.joined)
            for one, other in zip(list(steps)[::2], list(steps)[1::2]):
                self.join(one, other)

    def join(self, one: float, other: float):
        """The later step becomes a part of the earlier one."""
        steps, members = self.run.steps, self.members
        first, second, added = steps[one], steps.pop(other), members.pop(other, 1)
        members[one] = members.get(one, 1) + added
        part = added / members[one]
        steps[one] = HalfPrecisionStep({space: torch.lerp(first[space], second[space], part) for space in first})

    def settle(self):
        """The sampling has ended: all of it comes to the host, in half precision if it is much."""
        self.latest = None
        self.land(wait=True)
        if self.run.size[0] > 1:
            self.spare_room()
        if self.run.score_nbytes > HALF_PRECISION_FROM:
            for sigma, step in self.run.steps.items():
                if not isinstance(step, HalfPrecisionStep):
                    self.run.steps[sigma] = HalfPrecisionStep(step)

    def abort(self, reason: str):
        """Go on without the maps; Decode tells why there are none."""
        if not self.run.abort_reason:
            logging.warning("Concept Attention: %s. The picture goes on without its maps.", reason)
        self.in_flight.clear()
        self.sums = self.latest = None
        self.run.drop(reason)
