"""Words of a prompt as concepts: which of the prompt's tokens they are."""

from collections.abc import Sequence

import torch

from ..concepts.concepts import Concepts
from ..concepts.names import check_names, parse_concepts
from ..concepts.prompt_words import content_words
from .encode_concepts import choose_encoder
from .text_encoders import CLIPEncoder


def encode_prompt_words(clip, text: str, words: str = "") -> Concepts:
    """Concepts that are words of the very prompt, encoded as ComfyUI encodes it.

    clip: a ComfyUI CLIP. text: the prompt, weights and embeddings included. words: those to show, separated by commas or lines; "" for
    every one that names something. A word's tokens are those of every place where it stands. ValueError where a word is not in the
    prompt, which names those that are, or the CLIP is not Stable Diffusion's.
    """
    encoder = choose_encoder(clip, "auto")
    if not isinstance(encoder, CLIPEncoder) or not encoder.reads_prompt_words:
        raise ValueError("Prompt Words reads prompts of Stable Diffusion and SDXL. For this CLIP name concepts with Encode Concepts.")
    part = encoder.parts[0]
    tokens = clip.tokenize(text)
    prompt = [token for chunk in tokens[part] for token, _ in chunk]
    embeddings = clip.encode_from_tokens(tokens)[0].float().cpu()

    def found(words: list[str]) -> dict[str, list[int]]:
        """Each one's places. What the text encoder reads alike is one word, under the first name."""
        first: dict[tuple[int, ...], str] = {}
        for word in words:
            first.setdefault(tuple(places_of(own_tokens(clip, part, word), prompt)), word)
        return {word: list(places) for places, word in first.items()}

    there = [word for word, places in found(content_words(text)).items() if places]
    chosen = found(parse_concepts(words) or there)
    if not chosen:
        raise ValueError("text: there is no word in it that names something. Write the sampler's positive prompt.")
    missing = [word for word, places in chosen.items() if not places]
    if missing:
        raise ValueError(f'words: "{missing[0]}" is not in the prompt. Its words are: {", ".join(there) or "none that names something"}.')
    check_names(list(chosen))
    weights = torch.zeros(len(chosen), len(prompt))
    for row, places in enumerate(chosen.values()):
        weights[row, places] = 1 / len(places)
    return Concepts(tuple(chosen), len(chosen), encoder.name, embeddings, weights, of_prompt=True)


def own_tokens(clip, part: str, word: str) -> list:
    """Without start, end and padding; an embedding's are vectors. Parentheses are weights in a prompt, and so they are here."""
    chunks = clip.tokenize(word, return_word_ids=True)[part]
    return [token for chunk in chunks for token, _, word_id in chunk if word_id > 0]


def places_of(own: Sequence, prompt: Sequence) -> list[int]:
    """Of all tokens of every run that is alike."""
    starts = range(len(prompt) - len(own) + 1) if own else ()
    found = [start for start in starts if all(alike(*pair) for pair in zip(own, prompt[start:]))]
    return sorted({start + offset for start in found for offset in range(len(own))})


def alike(token, other) -> bool:
    """Of numbers, or of an embedding's vectors."""
    if isinstance(token, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(token, other)
    return not isinstance(token, torch.Tensor) and not isinstance(other, torch.Tensor) and token == other
