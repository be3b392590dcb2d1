"""One model's card: the same prompts with the nodes and without them, what that cost, and what the scores are like."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch
from torch import Tensor

from ..concept_core.api import Loaded, Recording, decode_latent, empty_latent, encode_concepts, encode_text, record_concepts, sample
from ..concept_core.families.registry import family_of
from .measure import StepClock, peak_of
from .scores import by_block

SEED = 40
FRAMES = 9  # of a clip, or as many as its latent's frames allow


@dataclass(frozen=True)
class Prompt:
    """absent: which of the concepts is not in the picture."""

    text: str
    concepts: tuple[str, ...]
    absent: str


PROMPTS = [
    Prompt("a red apple and a blue cup on a wooden table", ("apple", "cup", "table", "dog"), "dog"),
    Prompt("a dog beside a bicycle in front of a brick wall, photo", ("dog", "bicycle", "wall", "horse"), "horse"),
    Prompt("a lighthouse on a cliff above the sea", ("lighthouse", "cliff", "sea", "sky", "car"), "car"),
    Prompt("a woman in a green coat with a yellow umbrella on a street", ("woman", "coat", "umbrella", "street", "cat"), "cat"),
]


@dataclass(frozen=True)
class Settings:
    """frames: 1 for pictures."""

    side: int
    steps: int
    cfg: float
    frames: int = 1


@dataclass
class Sampled:
    """What one prompt gave. with_nodes, without: latents. again: without, once more, where it was asked for. peaks: bytes that are held at
    most. step_seconds: with and without."""

    prompt: Prompt
    recording: Recording
    with_nodes: Tensor
    without: Tensor
    again: Tensor | None
    peaks: tuple[int, int]
    step_seconds: tuple[list[float], list[float]]
    pictures: Tensor

    @property
    def is_same(self) -> bool:
        return torch.equal(self.with_nodes, self.without)

    @property
    def model_repeats_itself(self) -> bool | None:
        """Whether the model alone gives the same latent twice; None where that was not tried."""
        return None if self.again is None else torch.equal(self.again, self.without)


@dataclass
class Card:
    settings: Settings
    family: str
    dtype: str
    depth: int
    default_blocks: tuple[int, int]
    recipe: dict
    sampled: list[Sampled] = field(default_factory=list)
    scores: list[dict] = field(default_factory=list)

    def numbers(self) -> dict:
        """For the JSON, and the tables of the page."""
        with_nodes, without = ([s for one in self.sampled for s in one.step_seconds[way]] for way in (0, 1))
        peaks = [one.peaks for one in self.sampled]
        return {
            "family": self.family,
            "weights": self.dtype,
            "settings": vars(self.settings),
            "blocks": self.depth,
            "default_blocks": f"{self.default_blocks[0]}-{self.default_blocks[1] - 1}",
            "recipe": self.recipe,
            "same_latent": all(one.is_same for one in self.sampled),
            "model_repeats_itself": all(one.model_repeats_itself is not False for one in self.sampled),
            "largest_difference": max(float((one.with_nodes - one.without).abs().max()) for one in self.sampled),
            "step_ratio": ratio(median(with_nodes), median(without)),
            "step_seconds": rounded(median(without)),
            "all_step_seconds": {"with": [rounded(s) for s in with_nodes], "without": [rounded(s) for s in without]},
            "peak_ratio": ratio(max(peak for peak, _ in peaks), max(peak for _, peak in peaks)),
            "peak_bytes_without": max(peak for _, peak in peaks),
            "kept_bytes": max(one.recording.runs[-1].nbytes for one in self.sampled),
            "prompts": [
                {"prompt": one.prompt.text, "concepts": one.prompt.concepts, "absent": one.prompt.absent, "scores": scores}
                for one, scores in zip(self.sampled, self.scores)
            ],
        }


def card_of(loaded: Loaded, settings: Settings, prompts: list[Prompt], say: Callable[[str], None]) -> Card:
    """Sample each prompt with and without the nodes, which one first by turns; the first prompt without them once more."""
    family = family_of(loaded.model)
    first, end = family.default_blocks.start, family.default_blocks.stop
    dtype = str(loaded.model.model_dtype()).removeprefix("torch.")
    card = Card(settings, family.name, dtype, family.depth, (first, end), vars(family.recipe))
    warm_up(loaded, settings, prompts[0])
    for number, prompt in enumerate(prompts):
        say(f"  {prompt.text}")
        card.sampled.append(one := sampled(loaded, settings, prompt, nodes_first=bool(number % 2), once_more=number == 0))
        card.scores.append(by_block(one.recording, one.with_nodes, prompt.absent))
    return card


def warm_up(loaded: Loaded, settings: Settings, prompt: Prompt):
    """The first sampling of all also moves the model to its device."""
    sampler(loaded, Settings(settings.side, 1, settings.cfg, settings.frames), prompt)(loaded.model, None)


def sampled(loaded: Loaded, settings: Settings, prompt: Prompt, nodes_first: bool, once_more: bool) -> Sampled:
    recorded, recording = record_concepts(loaded.model, encode_concepts(loaded.clip, ", ".join(prompt.concepts)))
    paint = sampler(loaded, settings, prompt)
    latents, peaks, seconds = {}, {}, {}
    for with_nodes in (nodes_first, not nodes_first):
        model, clock = recorded if with_nodes else loaded.model, StepClock()

        def work():
            latents[with_nodes] = paint(model, clock)

        peaks[with_nodes] = peak_of(work).highest
        seconds[with_nodes] = clock.steps
    again = paint(loaded.model, None) if once_more else None
    return Sampled(
        prompt, recording, latents[True], latents[False], again, (peaks[True], peaks[False]), (seconds[True], seconds[False]),
        decode_latent(loaded.vae, latents[True]),
    )  # fmt: skip


def sampler(loaded: Loaded, settings: Settings, prompt: Prompt):
    """(model, callback) → a latent"""
    positive, negative = encode_text(loaded.clip, prompt.text), encode_text(loaded.clip, "")
    empty = empty_latent(loaded.model, settings.side, settings.side, frames=settings.frames)
    of_model = dict(negative=negative, steps=settings.steps, cfg=settings.cfg, seed=SEED)
    return lambda model, callback: sample(model, positive, empty, callback=callback, **of_model).cpu()


def ratio(one: float, other: float) -> float:
    return round(one / other, 4) if other else float("nan")


def rounded(number: float) -> float:
    return float(f"{number:.4g}")
