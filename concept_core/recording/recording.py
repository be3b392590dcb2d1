"""What one Apply node has heard: a run for every sampling, with scores for every step and block."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..concepts.concepts import Concepts
from .grid import Size
from .half_precision import HalfPrecisionStep
from .recipe import Recipe
from .scores import ATTENDS_TO
from .vectors import Vectors, free_on_host

MAX_OLDER = 8
MAX_BYTES = 1 << 30
SPARE_BYTES = 2 << 30  # of RAM, which the running queue's samplings leave to others
MAX_VECTOR_BYTES = 4 << 30
MADE_ROOM = "they made room for a newer sampling's"
NO_ROOM = "its scores made room for those of newer samplings"


@dataclass(eq=False)
class Run:
    """One sampling.

    size: frames, height and width of the latent; a picture has one frame. grid: frames, rows and columns of image tokens.
    image_size: height and width in pixels.
    steps: sigma → space → scores [blocks, B, C, N], the mean over the calls of the model at that sigma.
    vectors: those to keep, of every call. vectors_gone: why they are no longer there, if they are not.
    latents: what the sampler gave out, [B, channels, h, w]; a run belongs to these and to no other.
    beginning: the latent and the noise that the sampling began with, where it ended before the noise was gone: another is to go on with it.
    went_on_with: the latent that the sampling took over from an earlier one, [B, channels, h, w], where it added no noise of its own.
    origin: the queue and the node that sampled, where ComfyUI runs a queue.
    abort_reason: why there are no scores, if there are none; then nothing of the run is kept but its latents.
    skip_reason: why steps were not recorded, where some were not.
    """

    batch: int
    size: Size
    grid: Size
    image_size: tuple[int, int]
    percent_to_sigma: Callable[[float], float]
    steps: dict[float, Mapping[str, Tensor]] = field(default_factory=dict)
    vectors: list[Vectors] = field(default_factory=list)
    vectors_gone: str = ""
    latents: list[Tensor] = field(default_factory=list)
    beginning: tuple[Tensor, ...] = ()
    went_on_with: Tensor | None = None
    origin: tuple[str, str] | None = None
    abort_reason: str = ""
    skip_reason: str = ""

    def drop(self, reason: str):
        """Keep nothing but the latents, and why."""
        self.abort_reason = reason
        self.steps.clear()
        self.vectors.clear()

    def skip(self, reason: str):
        self.skip_reason = self.skip_reason or reason

    def is_of_queue(self, other: "Run") -> bool:
        """Whether both were sampled in one queue of ComfyUI's."""
        return self.origin is not None and other.origin is not None and self.origin[0] == other.origin[0]

    def supersedes(self, older: "Run") -> bool:
        """Whether the node that made the older one has sampled again in a later queue, so that its latents may be gone.

        Outside of a queue each sampling supersedes the ones before it.
        """
        if self.origin is None or older.origin is None:
            return self.origin == older.origin
        return self.origin[1] == older.origin[1] and not self.is_of_queue(older)

    def window(self, start_percent: float, end_percent: float) -> list[Mapping[str, Tensor]]:
        """The scores of the steps between two points of the schedule, first step first."""
        return [self.steps[sigma] for sigma in self.sigmas(start_percent, end_percent)]

    def sigmas(self, start_percent: float, end_percent: float) -> list[float]:
        """Of those steps."""
        return sorted((sigma for sigma in self.steps if self.is_within(sigma, start_percent, end_percent)), reverse=True)

    def is_within(self, sigma: float, start_percent: float, end_percent: float) -> bool:
        """Whether a sigma lies between two points of the schedule; from 0 to 1 is all of it, even beyond its ends."""
        before = start_percent > 0 and sigma > self.percent_to_sigma(start_percent)
        after = end_percent < 1 and sigma < self.percent_to_sigma(end_percent)
        return not before and not after

    def rows_of(self, samples: Tensor) -> list[int] | None:
        """For each picture in `samples` its place in this run's batch; None unless all are of this run."""
        for latent in self.latents:
            if latent.shape[1:] != samples.shape[1:]:
                continue
            kept = latent.to(samples.dtype)
            if torch.equal(kept, samples.cpu()):  # pictures may be alike to the bit, and their scores not
                return list(range(len(kept)))
            places = [next((i for i in range(len(kept)) if torch.equal(kept[i], s)), None) for s in samples.cpu()]
            rows = [place for place in places if place is not None]
            if len(rows) == len(samples):
                return rows
        return None

    @property
    def score_nbytes(self) -> int:
        return sum(nbytes_of(step) for step in self.steps.values())

    @property
    def nbytes(self) -> int:
        """Of all but the vectors."""
        return self.score_nbytes + sum(latent.nbytes for latent in (*self.latents, *self.beginning, *self._taken_over))

    @property
    def _taken_over(self) -> tuple[Tensor, ...]:
        return () if self.went_on_with is None else (self.went_on_with,)

    @property
    def vector_nbytes(self) -> int:
        return sum(vectors.nbytes for vectors in self.vectors)

    def let_vectors_go(self, reason: str):
        logging.warning("Concept Attention removed the vectors of a sampling from RAM: %s.", reason)
        self.vectors_gone = reason
        self.vectors.clear()


@dataclass
class Recording:
    """The runs of one patched model, the newest last.

    What each node has sampled in its latest queue is kept whatever its number, since nodes behind it may ask for it; of what a later
    queue supersedes the last MAX_OLDER are kept. Beyond MAX_BYTES the superseded runs go first, then those of earlier queues, and those
    of the running one only where RAM is short.

    depth: how many blocks are recorded, of which the last single_blocks are single ones.
    attends_to: what the concepts attended to. kept_blocks: those whose output vectors are kept too.
    recipe: how the family's authors make maps. normalises_concepts: whether a concept's vectors are scaled to length 1 before the dot
    product. summed: a run's only step is the sum of all. later_heads: of the second half of heads alone. frames_per_latent: as Family
    has it.
    """

    concepts: Concepts
    spaces: tuple[str, ...]
    depth: int
    default_blocks: range
    pixels_per_token: int
    runs: list[Run] = field(default_factory=list)
    normalises_concepts: bool = False
    recipe: Recipe = Recipe()
    attends_to: tuple[str, ...] = ATTENDS_TO
    kept_blocks: tuple[int, ...] = ()
    summed: bool = False
    later_heads: bool = False
    single_blocks: int = 0
    frames_per_latent: int = 0

    def keep(self, run: Run):
        self.runs.append(run)
        superseded = [older for place, older in enumerate(self.runs) if any(newer.supersedes(older) for newer in self.runs[place + 1 :])]
        self._remove(superseded[:-MAX_OLDER])
        self._remove(superseded[-MAX_OLDER:], until_it_fits=True)
        running = [other for other in self.runs[:-1] if other.is_of_queue(run)]
        self._remove([other for other in self.runs[:-1] if other not in running], until_it_fits=True)
        for other in running:
            if not other.abort_reason and self.nbytes > MAX_BYTES and free_on_host() < SPARE_BYTES:
                logging.warning("Concept Attention removed a sampling from RAM: %s.", NO_ROOM)
                other.drop(NO_ROOM)
        for older in self.runs[:-1]:
            if older.vectors and sum(run.vector_nbytes for run in self.runs) > MAX_VECTOR_BYTES:
                older.let_vectors_go(MADE_ROOM)
        if run.nbytes > MAX_BYTES:
            logging.warning(
                "Concept Attention keeps %.1f GB of scores for one sampling: record fewer steps, spaces or concepts.", run.nbytes / 1e9
            )

    def _remove(self, runs: list[Run], until_it_fits: bool = False):
        for run in runs:
            if not until_it_fits or self.nbytes > MAX_BYTES:
                self.runs.remove(run)

    @property
    def nbytes(self) -> int:
        """Of all runs, but for their vectors."""
        return sum(run.nbytes for run in self.runs)

    def find(self, samples: Tensor) -> tuple[Run, list[int]] | None:
        """As run_of, or None."""
        for run in reversed(self.runs):
            rows = run.rows_of(samples)
            if rows is not None:
                return run, rows
        return None

    def run_of(self, samples: Tensor) -> tuple[Run, list[int]]:
        """The run that made these samples [B, channels, h, w], and each picture's row in it. ValueError if there is none."""
        if not self.runs:
            raise ValueError(
                "Nothing is recorded yet: no sampler has taken a step with the model that came out of the Apply node. "
                "Connect that model to the sampler whose samples you decode, and see that its denoise is above 0. "
                "If it is, ComfyUI has dropped the recording to save memory: clear its execution cache and queue again."
            )
        if not torch.isfinite(samples).all():
            raise ValueError("The samples hold NaN or infinity: the model's numbers overflowed. Sample in bfloat16 or float32.")
        found = self.find(samples)
        if found is not None:
            return found
        raise ValueError(
            f"These samples {list(samples.shape)} do not come from a sampler that used this recording's model, or were changed since. "
            f"Connect the sampler's own output. Of earlier queues only the last {MAX_OLDER} samplings are kept, fewer if they are large: "
            "to get one back, clear ComfyUI's execution cache and queue again."
        )


def nbytes_of(step: Mapping[str, Tensor]) -> int:
    return step.nbytes if isinstance(step, HalfPrecisionStep) else sum(scores.nbytes for scores in step.values())
