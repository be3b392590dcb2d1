"""The model families that have a concept stream. A new family is one file here and one line in FAMILIES."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from .flux import Flux1
from .sd3 import SD3
from .text_encoders import TextEncoder


class Family(Protocol):
    """What a family's file provides. `network` is ComfyUI's diffusion model, `clip` its CLIP."""

    name: str
    encoders: dict[str, TextEncoder]  # by name; the first is the default
    clip_parts: set[str]  # what its CLIP's tokenizer is made of, as in the keys of clip.tokenize
    clip_hint: str  # how a user gets such a CLIP
    wrapper: str  # the WrappersMP type of forward_with
    latent_pixel: int  # pixels across one latent pixel
    patch: int  # latent pixels across one image token
    normalises_concepts: bool  # whether a concept's output vector is scaled to length 1 before the dot product

    @staticmethod
    def matches(network) -> bool: ...

    @staticmethod
    def embedding_width(network) -> int: ...

    @staticmethod
    def width(network) -> int: ...  # of an output vector, heads joined

    @staticmethod
    def depth(network) -> int: ...  # blocks that have a concept output

    @staticmethod
    def default_blocks(depth: int) -> range: ...

    @staticmethod
    def later_blocks(network) -> list[tuple[str, int]]: ...  # those after the last one with a concept output

    @staticmethod
    def as_authors_encode(conditioning: dict, network) -> dict: ...  # options of a conditioning for their way to encode pictures

    @staticmethod
    def forward_with(recorder) -> Callable: ...


class Stream(Protocol):
    """The concept tokens on their way through the blocks of one model call. `args` is what ComfyUI hands a block replacement."""

    block_names: list[tuple[str, int]]  # the blocks that have a concept output, as keys of ComfyUI's block replacements

    def begin(self, dtype): ...

    def enter(self, index: int, args: dict) -> tuple[Tensor, Tensor, Tensor]: ...  # queries, keys and values [B, heads, T, d]

    def leave(self, index: int, attended: Tensor): ...  # [B, T, heads · d]

    def image_queries(self, q: Tensor, args: dict) -> Tensor: ...  # [B, heads, N, d] before rotary positions


FAMILIES: list[type[Family]] = [Flux1, SD3]


def family_of(model) -> type[Family]:
    """The family of a ComfyUI MODEL; ValueError names the model's class and the families there are."""
    network = model.get_model_object("diffusion_model")
    for family in FAMILIES:
        if family.matches(network):
            return family
    kind, variant = type(model.model).__name__, type(network).__name__
    raise ValueError(f"Concept Attention does not know the model family {kind} (network {variant}). Supported: {supported()}.")


def family_of_clip(clip) -> type[Family]:
    """The family whose text encoders a ComfyUI CLIP has; ValueError names what it has and what is supported."""
    if clip is None:
        raise ValueError("There is no CLIP: the checkpoint holds no text encoder. " + FAMILIES[0].clip_hint)
    parts = set(clip.tokenize(""))
    for family in FAMILIES:
        if family.clip_parts == parts:
            return family
    hints = " ".join(family.clip_hint for family in FAMILIES)
    raise ValueError(f"This CLIP, made of {', '.join(sorted(parts))}, is of no supported family ({supported()}). {hints}")


def supported() -> str:
    return ", ".join(family.name for family in FAMILIES)
