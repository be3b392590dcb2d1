"""From the words a user types to the token embeddings that start the concept stream."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .families import family_of_clip


@dataclass(frozen=True)
class Concepts:
    """Named concepts and their text embeddings.

    names: the concepts to show, then those that only compete in the softmax.
    shown: how many of `names` are to be shown.
    encoder: "t5" or "clip", the text encoder that the embeddings come from.
    embeddings: [T, width], the tokens of all concepts one after the other.
    token_share: [C, T], row c holds 1 / (number of c's tokens) at c's tokens: it averages over them.
    """

    names: tuple[str, ...]
    shown: int
    encoder: str
    embeddings: Tensor
    token_share: Tensor


def parse_concepts(text: str) -> list[str]:
    """Split at commas and line ends; a concept named twice counts once."""
    named = [name.strip() for line in text.splitlines() for name in line.split(",")]
    names = [name for name in dict.fromkeys(named) if name]
    if len(names) < sum(map(bool, named)):
        logging.info("Concept Attention: a concept that is named twice counts once.")
    return names


def encode_concepts(
    clip,
    concepts: str,
    background: str = "",
    tokens: str = "all tokens",
    encoder: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Concepts:
    """Encode each concept alone and keep its own tokens, never padding or the end token.

    clip: a ComfyUI CLIP. Prompt syntax in a concept is literal text. progress is called after each.
    ValueError where there is no concept, or the CLIP is of no supported family.
    """
    shown = parse_concepts(concepts)
    if not shown:
        raise ValueError("No concepts: name at least one, separated by commas or lines (for example: dragon, rock, sky).")
    hidden = [name for name in parse_concepts(background) if name not in shown]
    encoder, encode = choose_encoder(family_of_clip(clip), encoder)
    spans = []
    for done, name in enumerate(shown + hidden, 1):
        span = encode(clip, name)
        if len(span) == 0:
            raise ValueError(f"The concept {name!r} holds nothing that the text encoder {encoder} can read: write it anew or leave it out.")
        spans.append(span)
        progress(done, len(shown + hidden))
    if tokens == "first token":
        spans = [span[:1] for span in spans]
    owner = torch.repeat_interleave(torch.tensor([len(span) for span in spans]))
    share = torch.nn.functional.one_hot(owner).T.float()
    return Concepts(
        names=tuple(shown + hidden),
        shown=len(shown),
        encoder=encoder,
        embeddings=torch.cat(spans),
        token_share=share / share.sum(1, keepdim=True),
    )


def choose_encoder(family, encoder: str):
    """(name, function) of the encoder that a family reads concepts with."""
    if encoder == "auto":
        return next(iter(family.encoders.items()))
    if encoder not in family.encoders:
        raise ValueError(f"{family.name} does not read concepts from {encoder}: set encoder to auto or {' or '.join(family.encoders)}.")
    return encoder, family.encoders[encoder]
