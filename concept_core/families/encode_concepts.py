"""From the words a user types to the token embeddings that start the concept stream."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from comfy.sd import CLIP

from ..concepts.concepts import Concepts
from ..concepts.names import check_names, parse_concepts
from ..concepts.prompt_words import overlap, phrases
from .registry import FAMILIES, clip_hints, supported
from .text_encoders import Encoded, TextEncoder, encoders_of


def encode_concepts(
    clip: CLIP,
    concepts: str,
    background: str = "",
    *,
    tokens: str = "auto",
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
    reader = Reader(clip, choose_encoder(clip, encoder), tokens)
    for name in (*shown, *hidden):
        reader.add(name)
    named = list(reader.tokens)
    num_shown = sum(name in shown for name in named)
    reader.add_if_readable(phrase for phrase in phrases(prompt) if not any(overlap(phrase, name) for name in named))
    if len(reader.tokens) == 1:
        reader.add_if_readable(word for word in generic if not overlap(word, named[0]))
    encoded = []
    for name in reader.tokens:
        encoded.append(reader.encode(name))
        progress(len(encoded), len(reader.tokens))
    owner = torch.repeat_interleave(torch.tensor([len(one.embeddings) for one in encoded]))
    weights = torch.nn.functional.one_hot(owner).T.float()
    return Concepts(
        names=tuple(reader.tokens),
        num_shown=num_shown,
        encoder=reader.encoder.name,
        embeddings=torch.cat([one.embeddings for one in encoded]),
        token_weights=weights / weights.sum(1, keepdim=True),
        positions=torch.cat([one.position + torch.arange(len(one.embeddings)) for one in encoded]),
        sequences=tuple(one.sequence for one in encoded if one.sequence is not None),
        starts=tuple(one.start for one in encoded),
        refiner_ids=tuple(one.refiner_ids for one in encoded if one.refiner_ids is not None),
    )


class Reader:
    """Reads names with one text encoder. tokens: name → its tokens, of names that are read differently, in the order they came."""

    def __init__(self, clip, encoder: TextEncoder, which: str):
        self.clip, self.encoder = clip, encoder
        self.which = encoder.auto if which == "auto" else which
        self.tokens: dict[str, list[int]] = {}

    def add(self, name: str):
        """ValueError if it cannot be read."""
        tokens = self.encoder.tokens(self.clip, name)
        if not tokens:
            raise ValueError(
                f"The concept {name!r} holds nothing that the text encoder {self.encoder.name} can read: write it anew or leave it out."
            )
        if self.which == "first token" and self.encoder.is_causal:
            tokens = tokens[:1]  # it knows nothing of the others
        same = next((known for known, others in self.tokens.items() if others == tokens), None)
        if same is None:
            self.tokens[name] = tokens
        elif same != name:
            logging.info("Concept Attention: %s reads %r and %r alike: they are one concept, %r.", self.encoder.name, same, name, same)

    def add_if_readable(self, names: Iterable[str]):
        for name in names:
            try:
                self.add(name)
            except ValueError as error:
                logging.info("Concept Attention: %r does not compete with the concepts: %s", name, error)

    def encode(self, name: str) -> Encoded:
        encoded = self.encoder.encode(self.clip, name)
        if self.which == "all tokens":
            return encoded
        chosen = 0 if self.which == "first token" else len(encoded.embeddings) - 1
        return replace(
            encoded,
            embeddings=encoded.embeddings[chosen : chosen + 1],
            position=encoded.position + chosen,
            start=encoded.start + chosen,
        )


def choose_encoder(clip, name: str) -> TextEncoder:
    """ValueError names what the CLIP is made of and what is supported, or the encoders it has."""
    if clip is None:
        raise ValueError("There is no CLIP: the checkpoint holds no text encoder. " + FAMILIES[0].clip_hint)
    encoders = encoders_of(clip)
    if not encoders:
        made_of = ", ".join(sorted(clip.tokenize("")))
        raise ValueError(
            f"This CLIP, made of {made_of} ({type(clip.tokenizer).__name__}), is of no supported family ({supported()}). {clip_hints()}"
        )
    if name == "auto":
        return encoders[0]
    chosen = next((encoder for encoder in encoders if encoder.name == name), None)
    if chosen is None:
        raise ValueError(
            f"This CLIP does not read concepts with {name}: set encoder to auto or {' or '.join(one.name for one in encoders)}."
        )
    return chosen
