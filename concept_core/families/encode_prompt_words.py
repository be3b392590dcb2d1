"""Words of a prompt as concepts: which of the prompt's tokens they are."""

import torch
from comfy.sd import CLIP

from ..concepts.concepts import Concepts
from ..concepts.names import check_names, parse_concepts
from ..concepts.prompt_words import content_words
from ..concepts.spelling import unweighted
from .encode_concepts import choose_encoder
from .text_encoders import Reading

BY_NAME = "embedding:"


def encode_prompt_words(clip: CLIP, text: str, words: str = "", prompt: str = "positive") -> Concepts:
    """Concepts that are words of the very prompt, encoded as ComfyUI encodes it.

    clip: a ComfyUI CLIP. text: the prompt, weights and embeddings included. words: those to show, separated by commas or lines; "" for
    every one that names something. prompt: which of the sampler's the text is, "positive" or "negative". A word's tokens are those of
    every place where it stands, in all text encoders whose tokens the model is given. ValueError where a word is not in the prompt,
    which names those that are, or the CLIP is of no supported family.
    """
    encoder = choose_encoder(clip, "auto")
    read = encoder.read(clip, text)
    readings = read.readings
    spelled = [reading.spelled() for reading in readings]

    def places_of(word: str) -> tuple[int, ...]:
        if word.startswith(BY_NAME):
            return tuple(place for reading in readings for place in of_embedding(clip, reading, word))
        return tuple(reading.first + place for reading, text in zip(readings, spelled) for place in text.places_of(word))

    def found(words: list[str]) -> dict[str, tuple[int, ...]]:
        """Each one's places. What lies at the same ones is one word, under the first name."""
        first: dict[tuple[int, ...], str] = {}
        for word in words:
            first.setdefault(places_of(word), word)
        return {word: places for places, word in first.items()}

    there = [word for word, places in found(content_words(text)).items() if places]
    chosen = found([name for name in map(unweighted, parse_concepts(words)) if name] or there)
    if not chosen:
        raise ValueError(f"text: there is no word in it that names something. Write the sampler's {prompt} prompt.")
    missing = [word for word, places in chosen.items() if not places]
    if missing:
        raise ValueError(f'words: "{missing[0]}" is not in the prompt. Its words are: {", ".join(there) or "none that names something"}.')
    check_names(list(chosen))
    weights = torch.zeros(len(chosen), len(read.embeddings))
    for row, places in enumerate(chosen.values()):
        weights[row, list(places)] = 1 / len(places)
    return Concepts(
        names=tuple(chosen),
        num_shown=len(chosen),
        encoder=encoder.name,
        embeddings=read.embeddings,
        token_weights=weights,
        sequences=read.sequences,
        refiner_ids=read.refiner_ids,
        refiner_weights=read.refiner_weights,
        of_prompt=prompt,
    )


def of_embedding(clip, reading: Reading, name: str) -> list[int]:
    """The tokens of every place where the embedding is called."""
    chunks = clip.tokenize(name, return_word_ids=True)[reading.part]
    own = [token for chunk in chunks for token, _, word in chunk if word]
    starts = range(len(reading.tokens) - len(own) + 1) if own else ()
    found = [start for start in starts if all(alike(*pair) for pair in zip(own, reading.tokens[start:]))]
    return sorted({reading.first + start + offset for start in found for offset in range(len(own))})


def alike(token, other) -> bool:
    """Of numbers, or of an embedding's vectors."""
    if isinstance(token, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(token, other)
    return not isinstance(token, torch.Tensor) and not isinstance(other, torch.Tensor) and token == other
