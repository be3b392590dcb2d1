"""One picture through a protocol: encoded, decoded, cut and counted, with the code that the nodes run."""

import random
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torchvision.transforms.functional import gaussian_blur

from ..concept_core.concepts.concepts import Concepts
from ..concept_core.families.encode_concepts import encode_concepts
from ..concept_core.families.encode_prompt_words import encode_prompt_words
from ..concept_core.families.registry import family_of
from ..concept_core.maps.decode import decode
from ..concept_core.maps.maps import Maps
from ..concept_core.maps.presence import presence
from ..concept_core.maps.selection import select
from ..concept_core.masks.pixels import EDGE_RADIUS, at_pixels
from ..concept_core.record.encode_image import encode_image
from ..concept_core.recording.recording import Recording
from . import metrics
from .datasets import Sample
from .presets import Protocol

MULTIPLE = 16  # of pixels that a picture's sides are brought to
KEPT = 32  # words and prompts, as they were encoded last


class Judge:
    """A loaded model and a data set; looks at one picture after the other."""

    def __init__(self, model, clip, vae, data):
        self.model, self.clip, self.vae, self.data = model, clip, vae, data
        self.encoded = lru_cache(KEPT)(self._encoded)  # they are often the same, and a text encoder may be larger than the model
        self.conditioned = lru_cache(KEPT)(lambda prompt: clip.encode_from_tokens_scheduled(clip.tokenize(prompt)))

    def judge(self, sample: Sample, variants: dict[str, Protocol], look=lambda *args: None) -> dict[str, dict]:
        """Variant → its counts and average precisions by class, and the presence of what was named.

        look is called with (variant, maps, picture, labels, predicted).
        """
        results = {}
        for name, protocol, maps, words, picture, labels, scores, predicted in self.predicted(sample, variants):
            counts = metrics.count(labels, predicted, len(self.data.classes))
            results[name] = {
                "counts": {field: numbers.tolist() for field, numbers in vars(counts).items()},
                "precision": precisions(labels, scores, words, sample, protocol.authors),
                "presence": presences(maps, words, sample),
            }
            look(name, maps, picture, labels, predicted)
        return results

    def count(self, sample: Sample, variants: dict[str, Protocol]) -> dict[str, list[list[int]]]:
        """Variant → [class, pixels rightly predicted, predicted, labelled] of each class that has any."""
        results = {}
        for name, *_, labels, _, predicted in self.predicted(sample, variants):
            counts = metrics.count(labels, predicted, len(self.data.classes))
            table = np.stack([counts.right, counts.predicted, counts.labelled], 1)
            results[name] = [[label, *table[label].tolist()] for label in np.nonzero(table.any(1))[0].tolist()]
        return results

    @torch.no_grad()
    def predicted(self, sample: Sample, variants: dict[str, Protocol]):
        """(variant, protocol, maps, words, picture, labels, scores, predicted) of each; those that differ in decoding share a recording."""
        recorded = {}
        for name, protocol in variants.items():
            key = protocol.recorded()
            if key not in recorded:
                recorded.clear()
                recorded[key] = self.record(sample, protocol)
            recording, latent, picture, words = recorded[key]
            maps = decode(recording, latent, protocol.space, **protocol.decoding())
            labels = resized_labels(sample.labels, protocol.labels)
            yield name, protocol, maps, words, picture, labels, *cut(maps, words, picture, labels.shape, protocol)

    def record(self, sample: Sample, protocol: Protocol):
        """(recording, latent, picture [1, H, W, 3], words): words are what is shown, each with its label."""
        words = [(word, label) for label, word in sample.names.items()] + self.absent(sample, protocol)
        encoded, prompt = self.named([word for word, _ in words], prompt_of(sample, protocol.prompt), protocol)
        if encoded.names[: encoded.num_shown] != tuple(word for word, _ in words):
            raise ValueError(f"Picture {sample.id}: {', '.join(word for word, _ in words)} should be different words without commas.")
        positive = self.conditioned(prompt)
        picture = as_tensor(resized(sample.picture, protocol.resize))
        latent = self.vae.encode(picture)
        choices = {name: getattr(protocol, name) for name in ("samples", "seed", "as_authors", "attends_to", "single_blocks")}
        choices |= {"later_heads": protocol.method == "daam as published"}
        shown = [encode_image(self.model, encoded, positive, latent, noise=noise, **choices, spaces="all") for noise in protocol.noises()]
        return together(shown), latent, picture, words

    def named(self, shown: list[str], prompt: str, protocol: Protocol) -> tuple[Concepts, str]:
        """The concepts, and the prompt that the model is shown the picture with."""
        background = protocol.background
        if protocol.method == "concepts":
            return self.encoded("\n".join(shown), "\n".join(background), protocol.tokens, protocol.encoder), prompt
        names = [*shown, *background]
        listed = ", ".join(f"a {name}" for name in names)
        family, published = family_of(self.model).key, protocol.method == "daam as published"
        if published and family not in ("sd2", "sdxl"):
            raise ValueError('"daam as published" is for SD2 and SDXL, whose baselines the authors have published.')
        looked_up = prompt if protocol.method == "prompt words" else f"{prompt},{listed}"
        if published and family == "sd2":
            looked_up = prompt + listed
        else:
            prompt = looked_up
        encoded = encode_prompt_words(self.clip, looked_up, "\n".join(names))
        if looked_up != prompt:
            encoded = as_if_in(encode_prompt_words(self.clip, prompt, ""), encoded)
        return replace(encoded, num_shown=len(shown)), prompt

    def _encoded(self, shown: str, background: str, tokens: str, encoder: str) -> Concepts:
        return encode_concepts(self.clip, shown, background, tokens=tokens, encoder=encoder)

    def absent(self, sample: Sample, protocol: Protocol) -> list[tuple[str, int]]:
        """Words of the data set that are not in this picture, drawn by its id and the protocol's seed."""
        if not protocol.absent:
            return []
        others = [word for word in self.data.vocabulary if word not in (*sample.names.values(), *protocol.background)]
        drawn = random.Random(f"{protocol.seed} {sample.id}").sample(others, min(protocol.absent, len(others)))
        labels = {name: label for label, name in enumerate(self.data.classes)}
        return [(word, labels.get(word, 0)) for word in drawn]


def together(recordings: list[Recording]) -> Recording:
    """Of one picture at several levels of noise: as if they were the steps of a sampling."""
    (run,) = recordings[0].runs
    for other in recordings[1:]:
        run.steps.update(other.runs[0].steps)
    return recordings[0]


def as_if_in(prompt: Concepts, words: Concepts) -> Concepts:
    """Words of one prompt looked for at the same places of another, as the authors' baseline for SD2 does."""
    weights = words.token_weights[:, : len(prompt.embeddings)]
    if not weights.any(1).all():
        raise ValueError("There are more names than SD2's baseline has room for: its prompts have 77 tokens.")
    return replace(words, embeddings=prompt.embeddings, token_weights=weights / weights.sum(1, keepdim=True))


def prompt_of(sample: Sample, prompt: str) -> str:
    if "{caption}" in prompt:
        return prompt.replace("{caption}", sample.caption)
    return ",".join(prompt.format(word) for word in sample.names.values()) if "{}" in prompt else prompt


def resized(picture: Image.Image, steps: tuple[str, ...]) -> Image.Image:
    for step in steps:
        *size, method = step.split()
        if size[0] == "fit":
            scale = int(size[1]) / max(picture.size)
            width, height = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in picture.size)
        else:
            height, width = map(int, size[0].split("x"))
        picture = picture.resize((width, height), Image.Resampling[method.upper()])
    if any(side % MULTIPLE for side in picture.size):
        raise ValueError(f"resize: its last step leaves {picture.height} x {picture.width} pixels; both should be multiples of {MULTIPLE}.")
    return picture


def resized_labels(labels: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(labels).resize((side, side), Image.Resampling.NEAREST)) if side else labels


def as_tensor(picture: Image.Image) -> torch.Tensor:
    """[1, H, W, 3] in 0..1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


def cut(maps: Maps, words, picture, size, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    """Scores [C, H, W] of all that was named, and a label for each pixel, [H, W]."""
    values = maps.values
    if protocol.blur:
        values = gaussian_blur(values, [3, 3], protocol.blur)
    if protocol.upsample != "nearest":
        values = at_pixels(replace(maps, values=values), values[0], picture[0], EDGE_RADIUS if protocol.upsample == "edges" else 0)[None]
    if protocol.cut == "mean":
        labels = (values[0, 0] > values[0, 0].mean()).long()
    else:
        label_of = torch.tensor([label for _, label in words] + [0] * (values.shape[1] - len(words)))
        labels = label_of[values[0].argmax(0)]
    nearest = [interpolate(x[None].float(), size, mode="nearest")[0].numpy() for x in (values[0], labels[None])]
    return nearest[0], nearest[1][0].astype(np.uint8)


def precisions(labels, scores, words, sample: Sample, formula: str) -> dict[int, tuple[float, float]]:
    """Label → (average precision, the authors') of each class that is in the picture."""
    return {
        label: (metrics.average_precision(labels, label, score), metrics.average_precision_as_authors(labels, label, score, formula))
        for (word, label), score in zip(words, scores)
        if word in sample.names.values()
    }


def presences(maps: Maps, words, sample: Sample) -> list[tuple[str, bool, float]]:
    """(word, whether it is in the picture, its presence) of all that is shown; nothing of raw scores."""
    there = presence(maps, select(maps, "*"))[0].tolist() if maps.softmaxed else []
    return [(word, word in sample.names.values(), share) for (word, _), share in zip(words, there)]
