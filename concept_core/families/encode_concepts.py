"""From the words a user types to the token embeddings that start the concept stream."""

import logging
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..concepts.concepts import Concepts
from ..concepts.names import check_names, parse_concepts
from ..concepts.prompt_words import overlap, phrases
from .registry import family_of_clip
from .text_encoders import TextEncoder


def encode_concepts(
    clip,
    concepts: str,
    background: str = "",
    tokens: str = "all tokens",
    encoder: str = "auto",
    prompt: str = "",
    generic: Iterable[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Concepts:
    """Encode each concept alone and keep its own tokens, never padding or the end token.

    clip: a ComfyUI CLIP. Prompt syntax in a concept is literal text. prompt: what else it names competes with the concepts, unseen.
    generic: words that do so where a concept would have nothing to compete with. Names that the text encoder reads alike are one
    concept, under the first of them. progress is called after each. ValueError where there is no concept, a name cannot be used or
    read, or the CLIP is of no supported family.
    """
    shown, hidden = parse_concepts(concepts), parse_concepts(background)
    check_names(shown, hidden)
    encoder, text_encoder = choose_encoder(family_of_clip(clip), encoder)
    reader = Reader(clip, encoder, text_encoder, tokens == "first token")
    for name in (*shown, *hidden):
        reader.add(name)
    named = list(reader.tokens)
    num_shown = sum(name in shown for name in named)
    reader.add_if_readable(phrase for phrase in phrases(prompt) if not any(overlap(phrase, name) for name in named))
    if len(reader.tokens) == 1:
        reader.add_if_readable(word for word in generic if not overlap(word, named[0]))
    spans = []
    for name in reader.tokens:
        spans.append(reader.encode(name))
        progress(len(spans), len(reader.tokens))
    owner = torch.repeat_interleave(torch.tensor([len(span) for span in spans]))
    share = torch.nn.functional.one_hot(owner).T.float()
    return Concepts(
        names=tuple(reader.tokens),
        shown=num_shown,
        encoder=encoder,
        embeddings=torch.cat(spans),
        token_share=share / share.sum(1, keepdim=True),
    )


class Reader:
    """Reads names with one text encoder. tokens: name → its tokens, of names that are read differently, in the order they came."""

    def __init__(self, clip, name: str, encoder: TextEncoder, first_only: bool):
        self.clip, self.name, self.encoder, self.first_only = clip, name, encoder, first_only
        self.tokens: dict[str, list[int]] = {}

    def add(self, name: str):
        """ValueError if it cannot be read."""
        tokens = self.encoder.tokens(self.clip, name)
        if not tokens:
            raise ValueError(
                f"The concept {name!r} holds nothing that the text encoder {self.name} can read: write it anew or leave it out."
            )
        if self.first_only and self.encoder.is_causal:
            tokens = tokens[:1]  # it knows nothing of the others
        same = next((known for known, others in self.tokens.items() if others == tokens), None)
        if same is None:
            self.tokens[name] = tokens
        elif same != name:
            logging.info("Concept Attention: %s reads %r and %r alike: they are one concept, %r.", self.name, same, name, same)

    def add_if_readable(self, names: Iterable[str]):
        for name in names:
            try:
                self.add(name)
            except ValueError as error:
                logging.info("Concept Attention lets nothing compete as %r: %s", name, error)

    def encode(self, name: str) -> Tensor:
        """[tokens, width]"""
        span = self.encoder.encode(self.clip, self.tokens[name])
        return span[:1] if self.first_only else span


def choose_encoder(family, encoder: str):
    """(name, function) of the encoder that a family reads concepts with."""
    if encoder == "auto":
        return next(iter(family.encoders.items()))
    if encoder not in family.encoders:
        raise ValueError(f"{family.name} does not read concepts from {encoder}: set encoder to auto or {' or '.join(family.encoders)}.")
    return encoder, family.encoders[encoder]
