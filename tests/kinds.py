"""One tiny model, its prompts and concepts for each family, and how the tests sample with it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import comfy.sample
import pytest
import tiny
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.record.sampler import record_concepts
from probe import conditioning

SHARE = torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1.0]])
POSITIONS = torch.tensor([3, 3, 4, 3])  # of concepts behind a template of three tokens


@dataclass
class Kind:
    """channels, frames: of a latent; frames is None where it has two dimensions. width, length: of a prompt's embedding. pooled: its
    pooled one's, 0 for none. pixel: latent pixels across a token. has_references: whether it takes reference latents. pads: whether it
    takes sizes that are no multiple of that. has_replacements: whether other nodes can replace its blocks. has_vectors: whether it has
    output vectors. masked: whether a prompt says which of its tokens count."""

    name: str
    load: Callable
    encoder: str
    channels: int = 16
    frames: int | None = None
    width: int = 64
    length: int = 6
    pooled: int = 0
    pixel: int = 2
    has_references: bool = False
    has_replacements: bool = True
    has_vectors: bool = True
    pads: bool = True
    masked: bool = False

    def __post_init__(self):
        self.model = self.load()
        generator = torch.Generator().manual_seed(1)
        self.prompts = [self._prompt(generator) for _ in range(3)]
        embeddings = torch.randn(4, self.width, generator=generator)
        sequences = tuple(torch.cat([torch.randn(3, self.width, generator=generator), own]) for own in embeddings.split([1, 2, 1]))
        ids = tuple(torch.randint(32128, (length + 1,), generator=generator) for length in (1, 2, 1)) if self.name == "anima" else ()
        starts = (0, 0, 0) if ids else (3, 3, 3)
        self.painted, self.recorded = {}, {}
        self.concepts = Concepts(("a", "b", "c"), 3, self.encoder, embeddings, SHARE, POSITIONS, sequences, starts, ids)

    def words(self, prompt=0, which="positive"):
        """Three words of one of its prompts, as Prompt Words gives them."""
        (((context,), options),) = self.prompts[prompt]
        tokens, refined = context, {}
        if self.name == "anima":
            refined = {"sequences": (context,), "refiner_ids": (options["t5xxl_ids"],), "refiner_weights": (options["t5xxl_weights"],)}
            tokens = torch.zeros(len(options["t5xxl_ids"]), self.width)
        weights = torch.zeros(3, len(tokens))
        weights[0, 1], weights[1, [2, 4]], weights[2, -1] = 1, 0.5, 1
        return Concepts(("a", "b", "c"), 3, self.encoder, tokens, weights, of_prompt=which, **refined)

    def _prompt(self, generator):
        context = torch.randn(1, self.length, self.width, generator=generator)
        options = {"attention_mask": torch.ones(1, self.length, dtype=torch.int)} if self.masked else {}
        pooled = torch.randn(1, self.pooled, generator=generator) if self.pooled else None
        if self.name == "anima":  # T5's reading is another one than Qwen's, of another length
            weights = torch.tensor([1, 1.3, 1, 0.7, 1, 1, 1, 1])
            options = {"t5xxl_ids": torch.randint(32128, (8,), generator=generator), "t5xxl_weights": weights}
        return conditioning(context, pooled, **options)

    def latent(self, size=(8, 12), batch=1):
        """Of zeros; size: in pixels of a family with two latent pixels across a token."""
        size = [-(-side * self.pixel // 2) for side in size]
        if not self.pads:
            size = [-(-side // self.pixel) * self.pixel for side in size]
        return torch.zeros(batch, self.channels, *([] if self.frames is None else [self.frames]), *size)

    def record(self, model=None, start_percent=0.0, end_percent=1.0, concepts=None, **options):
        """(patched model, recording)"""
        window = {"start_percent": start_percent, "end_percent": end_percent}
        return record_concepts(model or self.model, concepts or self.concepts, **window, **options)

    def sample(
        self, model=None, seed=0, size=(8, 12), batch=1, sampler="euler", scheduler="simple", steps=4, cfg=1.0,
        positive=None, negative=None, latent=None, noise_inds=None, **options,
    ):  # fmt: skip
        """What KSampler gives out."""
        latent = self.latent(size, batch) if latent is None else latent
        noise = options.pop("noise", None)
        if noise is None:
            noise = comfy.sample.prepare_noise(latent, seed, noise_inds)
        positive = self.prompts[0] if positive is None else positive
        conditionings = positive, self.prompts[1] if negative is None else negative
        return comfy.sample.sample(
            model or self.model, noise, steps, cfg, sampler, scheduler, *conditionings, latent, seed=seed, disable_pbar=True, **options
        )

    def plain(self, **options):
        """What sample gives of the model alone: once for all tests. options: numbers, names and sizes."""
        key = tuple(sorted(options.items()))
        if key not in self.painted:
            self.painted[key] = self.sample(**options)
        return self.painted[key]

    def heard(self, **options):
        """(recording, samples) of the model alone, as plain: nothing may be added to that recording."""
        key = tuple(sorted(options.items()))
        if key not in self.recorded:
            patched, recording = self.record()
            self.recorded[key] = recording, self.sample(patched, **options)
        return self.recorded[key]


OF_SHARED_WEIGHTS = dict(has_replacements=False)
OF_UNETS = dict(channels=4, length=77, has_replacements=False, has_vectors=False)
KINDS = {
    "flux": dict(load=tiny.flux, encoder="t5", pooled=32, has_references=True),
    "sd3": dict(load=lambda: tiny.sd3(second_attention=(0,)), encoder="clip", pooled=32),
    "flux2": dict(
        load=lambda: tiny.flux2(heads=1, single=2), encoder="qwen3 of Klein", channels=128, pixel=1, length=512, has_references=True
    ),
    "qwen-image": dict(load=tiny.qwen_image, encoder="qwen2.5-vl", frames=1, has_references=True),
    "chroma": dict(load=tiny.chroma, encoder="t5"),
    "chroma-radiance": dict(load=tiny.radiance, encoder="t5", channels=3, pixel=16),
    "ovis": dict(load=tiny.ovis, encoder="qwen3 of Ovis", has_references=True),
    "longcat": dict(load=tiny.longcat, encoder="qwen2.5-vl of LongCat", width=3584, has_references=True),
    "z-image": dict(load=tiny.z_image, encoder="qwen3 of Z-Image", has_references=True, has_replacements=False),
    "lumina2": dict(load=tiny.lumina2, encoder="gemma2", has_replacements=False),
    "krea2": dict(load=tiny.krea2, encoder="qwen3-vl of Krea 2", frames=1, width=960, has_references=True, has_replacements=False),
    "hunyuan-image": dict(load=tiny.hunyuan_image, encoder="qwen2.5-vl of HunyuanImage", channels=64, width=3584, pixel=1),
    "cosmos": dict(load=tiny.cosmos, encoder="t5", frames=1, has_replacements=False, has_vectors=False),
    "anima": dict(load=tiny.anima, encoder="qwen3 of Anima", frames=1, has_replacements=False, has_vectors=False),
    "sd15": dict(load=tiny.sd15, encoder="clip-l", **OF_UNETS),
    "sd2": dict(load=tiny.sd2, encoder="clip-h", **OF_UNETS),
    "sdxl": dict(load=tiny.sdxl, encoder="clip-l and clip-g", pooled=32, **OF_UNETS),
    "cogvideox": dict(load=tiny.cogvideox, encoder="t5", frames=3, **OF_SHARED_WEIGHTS),
    "cogvideox-1.5": dict(load=lambda: tiny.cogvideox(patch_frames=2), encoder="t5", frames=3, **OF_SHARED_WEIGHTS),
    "hunyuan-video": dict(load=tiny.hunyuan_video, encoder="llama of HunyuanVideo", frames=3, width=4096, pooled=768, pads=False),
    "hunyuan-video-1.5": dict(
        load=tiny.hunyuan_video_15, encoder="qwen2.5-vl of HunyuanVideo 1.5", channels=32, frames=3, width=3584, pixel=1
    ),
    "wan": dict(load=tiny.wan, encoder="umt5", frames=3, width=4096, has_vectors=False),
    "ltx": dict(load=tiny.ltx, encoder="t5", channels=128, frames=3, pixel=1, masked=True, has_vectors=False),
}

SORTS = ("flux", "sd3", "z-image", "anima", "sdxl", "hunyuan-video")  # how a family listens, with pictures and clips


def of_each_sort(*also: str, fixture="each_kind", names=KINDS):
    """For a fixture's families in a test of what they share: one of each sort and those named, the others with --every."""
    names = [name if name in (*SORTS, *also) else pytest.param(name, marks=pytest.mark.every) for name in names]
    return pytest.mark.parametrize(fixture, names, indirect=True)


def by_turns(names, choices):
    """(name, *choice) as parameters: each name with one of the choices in turn, the first with all; with --every each with all."""
    choices = [choice if isinstance(choice, tuple) else (choice,) for choice in choices]
    return [
        pytest.param(name, *choice, marks=[] if place == 0 or place % len(choices) == turn else pytest.mark.every)
        for place, name in enumerate(names)
        for turn, choice in enumerate(choices)
    ]


KINDS_OF_PICTURES = [name for name, about in KINDS.items() if about.get("frames") != 3]


@cache
def made(name: str, **changes) -> Kind:
    return Kind(name, **{**KINDS[name], **changes})


def with_a_whole_prompt(name: str) -> Kind:
    """With a prompt of 512 tokens, behind which older ComfyUIs number LongCat's picture however long the prompt is."""
    return made(name, length=512) if name == "longcat" else made(name)
