"""Time and memory of samplings, through ComfyUI's own sampler."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import comfy.sample
import torch

from ..check.measure import finish, peak_of
from ..concept_core.record import forward_pass, sampler
from ..concept_core.record.live import Live
from .models import Size, prompt


@dataclass(frozen=True)
class Cost:
    """Of one way: ratios of its time to the plain sampling's beside it, extra bytes at the peak, bytes that stay."""

    ratios: list[float]
    seconds: float
    peak: int
    kept: int

    @property
    def ratio(self) -> float:
        return sorted(self.ratios)[len(self.ratios) // 2]

    @property
    def spread(self) -> tuple[float, float]:
        """The quarter below and the quarter above."""
        ordered = sorted(self.ratios)
        return ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]


class Sampling:
    """Steps of one model on one latent. clock: tells seconds."""

    def __init__(self, size: Size, side: int, batch: int, steps: int, cfg: float, clock: Callable[[], float] = time.perf_counter):
        self.clock = clock
        self.prompts, self.steps, self.cfg = (prompt(size, 1), prompt(size, 2)), steps, cfg
        self.latent = torch.zeros(batch, size.channels, *size.frames, side // 8, side // 8)
        self.noise = comfy.sample.prepare_noise(self.latent, 0)

    def __call__(self, model) -> float:
        """Seconds."""
        finish()
        started = self.clock()
        choices = (self.steps, self.cfg, "euler", "simple", *self.prompts, self.latent)
        comfy.sample.sample(model, self.noise, *choices, seed=0, disable_pbar=True)
        finish()
        return self.clock() - started


def compare(sampling: Sampling, plain, patched, kept: Callable[[], int], let_go: Callable[[], None], pairs: int) -> Cost:
    """Plain and patched in turns, which one goes first by turns as well, after one of each to warm up."""
    base = extra_peak(lambda: sampling(plain))
    extra = max(0, extra_peak(lambda: sampling(patched)) - base)
    held = kept()
    ratios, seconds = [], []
    for turn in range(pairs):
        let_go()
        gc.collect()
        order = (plain, patched) if turn % 2 else (patched, plain)
        times = {id(model): sampling(model) for model in order}
        ratios.append(times[id(patched)] / times[id(plain)])
        seconds.append(times[id(plain)])
    return Cost(ratios, sorted(seconds)[len(seconds) // 2], extra, held)


def compare_within(sampling: Sampling, plain, patched, kept: Callable[[], int], let_go: Callable[[], None], turns: int) -> Cost:
    """Each patched sampling to itself without what the nodes spend in it: what else the machine does weighs on both alike."""
    base = extra_peak(lambda: sampling(plain))
    extra = max(0, extra_peak(lambda: sampling(patched)) - base)
    held = kept()
    ratios, seconds = [], []
    for _ in range(turns):
        let_go()
        gc.collect()
        with nodes_time(sampling.clock) as spent:
            took = sampling(patched)
        ratios.append(took / (took - sum(spent)))
        seconds.append(took - sum(spent))
    return Cost(ratios, sorted(seconds)[len(seconds) // 2], extra, held)


@contextmanager
def nodes_time(clock: Callable[[], float]) -> Iterator[list[float]]:
    """Seconds of each time that the nodes run beside the model: what they record stands within their guard against short memory, and
    what steers is a mask of the live maps."""
    spent: list[float] = []
    guard, mask_of = forward_pass.spare_the_picture, Live.mask

    @contextmanager
    def timed(receiver):
        started = clock()
        with guard(receiver):
            yield
        spent.append(clock() - started)

    def timed_mask(live, *args):
        started = clock()
        mask = mask_of(live, *args)
        spent.append(clock() - started)
        if mask is not None and not mask.any():
            raise RuntimeError("The concept was found nowhere, so nothing was steered.")
        return mask

    Live.mask = timed_mask
    forward_pass.spare_the_picture = sampler.spare_the_picture = timed
    try:
        yield spent
    finally:
        Live.mask = mask_of
        forward_pass.spare_the_picture = sampler.spare_the_picture = guard


def extra_peak(work: Callable[[], object]) -> int:
    """Bytes that are held at most while it runs, above what is held before."""
    before, highest = peak_of(work)
    return highest - before
