"""How a text encoder reads a concept: which tokens it is, and their embeddings, encoded alone and with the padding of a prompt.

The text is taken literally: no weights, no embeddings by name.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

MOST_T5_TOKENS = 128  # a concept is a few words: more is a prompt in the wrong place


@dataclass(frozen=True)
class TextEncoder:
    """tokens(clip, text): the numbers of the text's own tokens, never of an end token. Texts with the same ones are one concept.

    encode(clip, tokens): their embeddings [tokens, width]. Both raise ValueError for a CLIP that was loaded without this encoder;
    tokens does so for a text that it cannot read, or that is too long. is_causal: whether a token knows only those before it.
    """

    tokens: Callable[..., list[int]]
    encode: Callable[..., Tensor]
    is_causal: bool


def t5_tokens(clip, text: str) -> list[int]:
    _check_loaded(clip, ["t5xxl"], "T5-XXL", "clip")
    tokenizer = clip.tokenizer.t5xxl.tokenizer
    tokens = tokenizer(text)["input_ids"][:-1]
    if tokenizer.unk_token_id in tokens:
        raise ValueError(
            f"T5 does not know all letters of the concept {text!r} and would take it for any other such word: write it in English."
        )
    _check_length(text, tokens, MOST_T5_TOKENS)
    return tokens


def encode_t5(clip, tokens: list[int]) -> Tensor:
    empty = clip.tokenize("")
    padded = [(token, 1.0) for token in tokens] + empty["t5xxl"][0]
    length = max(len(empty["t5xxl"][0]), len(tokens) + 1)
    embeddings = clip.encode_from_tokens({**empty, "t5xxl": [padded[:length]]})
    start = embeddings.shape[1] - length  # SD3 puts T5's tokens behind CLIP's
    return embeddings[0, start : start + len(tokens)].float().cpu()


def clip_tokens(clip, text: str) -> list[int]:
    """CLIP-L's; CLIP-G has the same ones."""
    _check_loaded(clip, ["clip_l", "clip_g"], "CLIP-L and CLIP-G", "t5")
    tokens = clip.tokenizer.clip_l.tokenizer(text)["input_ids"][1:-1]
    _check_length(text, tokens, len(clip.tokenize("")["l"][0]) - 2)
    return tokens


def encode_clip(clip, tokens: list[int]) -> Tensor:
    """CLIP-L's and CLIP-G's embeddings side by side."""
    empty = clip.tokenize("")
    padded = {}
    for part in ("l", "g"):
        start, *end_and_padding = empty[part][0]
        padded[part] = [[start, *((token, 1.0) for token in tokens), *end_and_padding][: len(empty[part][0])]]
    embeddings = clip.encode_from_tokens({**empty, **padded})
    return embeddings[0, 1 : 1 + len(tokens)].float().cpu()


T5 = TextEncoder(t5_tokens, encode_t5, is_causal=False)
CLIP = TextEncoder(clip_tokens, encode_clip, is_causal=True)


def _check_loaded(clip, parts, name, other):
    if all(getattr(clip.cond_stage_model, part, None) is None for part in parts):
        raise ValueError(f"This CLIP was loaded without {name}: load it with {name}, or set encoder to {other}.")


def _check_length(text, tokens, room):
    if len(tokens) > room:
        raise ValueError(f'The concept "{text[:60]}…" has {len(tokens)} tokens, and at most {room} are read of a concept: make it shorter.')
