"""How a text encoder reads a concept: which tokens it is, and their embeddings, encoded alone and as a prompt is.

The text is taken literally: no weights, no embeddings by name.
"""

from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from ..concepts.spelling import Spelled, bytes_of

MOST_TOKENS = 128  # a concept is a few words: more is a prompt in the wrong place
PROBES = ("dog", "7")  # texts of which nothing is alike but what a template puts around them
IM_END = 151645  # of Qwen's tokenizers


@dataclass(frozen=True)
class Encoded:
    """A concept's own tokens [tokens, width]; which token of the prompt the first would be if the concept alone were the prompt; and the
    whole text [L, width] as the model gets it, of which they begin at `start`. refiner_ids: as Concepts has them."""

    embeddings: Tensor
    position: int = 0
    sequence: Tensor | None = None
    start: int = 0
    refiner_ids: Tensor | None = None


@dataclass(frozen=True)
class Reading:
    """A prompt's tokens in one vocabulary: numbers, vectors where an embedding is called by its name, None for what is no part of the text.

    part: ComfyUI's letters for the text encoder. first: which token of the prompt's embedding the first one is. vocabulary: by number.
    """

    part: str
    tokens: tuple[int | Tensor | None, ...]
    first: int
    vocabulary: dict[int, str]

    def spelled(self) -> Spelled:
        by_bytes = not any(piece.startswith("\u2581") for piece in self.vocabulary.values())  # SentencePiece's space
        return Spelled(self._piece(token, by_bytes) for token in self.tokens)

    def _piece(self, token, by_bytes: bool) -> bytes | None:
        """Nothing of starts, ends and padding: a long prompt is read in parts, and words may lie on both sides of a cut."""
        if isinstance(token, int) and token in self.vocabulary:
            return bytes_of(self.vocabulary[token], by_bytes)
        return b"" if token is None else None


@dataclass(frozen=True)
class Prompt:
    """A prompt as ComfyUI encodes it [L, width], and which token of it is which. The others: as Concepts has them, of this one text."""

    embeddings: Tensor
    readings: list[Reading]
    sequences: tuple[Tensor, ...] = ()
    refiner_ids: tuple[Tensor, ...] = ()
    refiner_weights: tuple[Tensor, ...] = ()


class TextEncoder:
    """name: which concepts remember. is_causal: whether a token knows only those before it. auto: the tokens that stand for a concept.

    Both methods raise ValueError for a CLIP that was loaded without this encoder, and for a text that cannot be read or is too long.
    """

    name: str
    is_causal: bool
    auto = "all tokens"

    def tokens(self, clip, text: str) -> list[int]:
        """The numbers of the text's own tokens, never of an end token. Texts with the same ones are one concept."""
        raise NotImplementedError

    def encode(self, clip, text: str) -> Encoded:
        raise NotImplementedError

    def read(self, clip, prompt: str) -> Prompt:
        """Weights and embeddings included."""
        raise NotImplementedError


class T5Encoder(TextEncoder):
    """part: ComfyUI's name for it."""

    is_causal = False

    def __init__(self, name: str, part: str):
        self.name, self.part = name, part

    def tokens(self, clip, text: str) -> list[int]:
        _check_loaded(clip, [self.part], "T5-XXL", "clip")
        tokenizer = _tokenizer(clip, self.part).tokenizer
        tokens = tokenizer(text)["input_ids"][:-1]
        _check_known(text, tokens, tokenizer)
        return tokens

    def encode(self, clip, text: str) -> Encoded:
        tokens, empty = self.tokens(clip, text), clip.tokenize("")
        padded = [(token, 1.0) for token in tokens] + empty[self.part][0]
        length = max(len(empty[self.part][0]), len(tokens) + 1)
        embeddings = clip.encode_from_tokens({**empty, self.part: [padded[:length]]})
        start = embeddings.shape[1] - length  # SD3 puts T5's tokens behind CLIP's
        return Encoded(embeddings[0, start : start + len(tokens)].float().cpu())

    def read(self, clip, prompt: str) -> Prompt:
        return _read(clip, prompt, [self.part])


class CLIPEncoder(TextEncoder):
    """CLIP's embeddings, side by side where there are two: their tokens are the same.

    parts: ComfyUI's letters for them. other: the encoder that could be taken where they are not loaded, whose tokens stand behind these.
    """

    is_causal = True

    def __init__(self, name: str, parts: str, other: str = "auto"):
        self.name, self.parts, self.other = name, parts, other

    def tokens(self, clip, text: str) -> list[int]:
        _check_loaded(clip, self.names, " and ".join(f"CLIP-{part.upper()}" for part in self.parts), self.other)
        tokens = getattr(clip.tokenizer, self.names[0]).tokenizer(text)["input_ids"][1:-1]
        _check_length(text, tokens, len(clip.tokenize("")[self.parts[0]][0]) - 2)
        return tokens

    def encode(self, clip, text: str) -> Encoded:
        tokens, empty, padded = self.tokens(clip, text), clip.tokenize(""), {}
        for part in self.parts:
            start, *end_and_padding = empty[part][0]
            padded[part] = [[start, *((token, 1.0) for token in tokens), *end_and_padding][: len(empty[part][0])]]
        embeddings = clip.encode_from_tokens({**empty, **padded})
        return Encoded(embeddings[0, 1 : 1 + len(tokens)].float().cpu())

    def read(self, clip, prompt: str) -> Prompt:
        if self.other == "auto":
            return _read(clip, prompt, self.parts[:1])
        loaded = [part for part, names in ((self.parts[0], self.names), ("t5xxl", ["t5xxl"])) if _any_loaded(clip, names)]
        return _read(clip, prompt, loaded)

    @property
    def names(self) -> list[str]:
        return [f"clip_{part}" for part in self.parts]


class LanguageModel(TextEncoder):
    """A causal language model, whose prompts stand in a chat template: only the last token of a concept has seen all of it.

    padded_to: tokens that the diffusion model pads its text to, on the left. cuts_end: whether ComfyUI takes the template's end away.
    reads_weights: whether ComfyUI's tokenizer would read "(word:1.2)" as a weight. part: ComfyUI's name for it beside other encoders.
    """

    is_causal = True
    auto = "last token"

    def __init__(self, name: str, padded_to: int = 0, cuts_end: bool = False, reads_weights: bool = False, part: str = ""):
        self.name, self.padded_to, self.cuts_end, self.part = name, padded_to, cuts_end, part
        self.options = {"disable_weights": True} if reads_weights else {}

    def tokens(self, clip, text: str) -> list[int]:
        if "embedding:" in text:
            raise ValueError(f"The concept {text!r} names an embedding, which a text encoder such as {self.name} cannot read: use words.")
        ids, (start, stop) = self._ids(clip, text), self._span(clip, text)
        _check_length(text, ids[start:stop], MOST_TOKENS)
        return ids[start:stop]

    def encode(self, clip, text: str) -> Encoded:
        ids, (start, stop) = self._ids(clip, text), self._span(clip, text)
        embeddings = clip.encode_from_tokens(clip.tokenize(text, **self.options))[0].float().cpu()
        cut = self._cut(ids, embeddings)
        first, last = start - cut, stop - cut
        used = len(self._without_padding(clip, ids)) - cut
        position = first + max(0, self.padded_to - len(embeddings))
        # A copy, or all of the padding is kept with it.
        return Encoded(embeddings[first:last].clone(), position, embeddings[: max(used, last)].clone(), first)

    def read(self, clip, prompt: str) -> Prompt:
        if self.part:  # of which the model refines what it reads, beside another encoder's
            raise ValueError(f"Prompt Words does not read prompts of {self.name}. Name concepts with Encode Concepts.")
        ids, (start, stop) = self._ids(clip, prompt, {}), self._span(clip, prompt, {})
        embeddings = clip.encode_from_tokens(clip.tokenize(prompt))[0].float().cpu()
        cut, padding = self._cut(ids, embeddings), max(0, self.padded_to - len(embeddings))
        embeddings = torch.nn.functional.pad(embeddings, (0, 0, padding, 0))
        vocabulary = getattr(clip.tokenizer, clip.tokenizer.clip).inv_vocab
        return Prompt(embeddings, [Reading(clip.tokenizer.clip_name, tuple(ids[start:stop]), start - cut + padding, vocabulary)])

    def _cut(self, ids, embeddings) -> int:
        """How many tokens of the template's beginning ComfyUI takes away."""
        end = len(ids) - _last(ids, IM_END) if self.cuts_end else 0
        return len(ids) - end - len(embeddings)

    def _span(self, clip, text, options=None) -> tuple[int, int]:
        """Where the text begins and ends among the tokens: what the template puts before and behind it is the same for all texts."""
        one, other = (self._without_padding(clip, self._ids(clip, probe, options)) for probe in PROBES)
        start, behind = _common(one, other), _common(one[::-1], other[::-1])
        ids = self._without_padding(clip, self._ids(clip, text, options))
        return start, len(ids) - behind

    def _ids(self, clip, text, options=None) -> list[int]:
        options = self.options if options is None else options
        return [pair[0] for pair in clip.tokenize(text, **options)[self.part or clip.tokenizer.clip_name][0]]

    def _without_padding(self, clip, ids):
        """Padding lies at the end, or within the template before its end."""
        pad = getattr(clip.tokenizer, self.part or clip.tokenizer.clip).pad_token
        end = ids[_last(ids, IM_END) :] if self.cuts_end else []
        ids = ids[: len(ids) - len(end)]
        return ids[: len(ids) - sum(1 for _ in takewhile(lambda token: token == pad, ids[::-1]))]


def _read(clip, prompt: str, parts) -> Prompt:
    """Of encoders whose tokens stand one behind the other."""
    chunks = clip.tokenize(prompt, return_word_ids=True)
    embeddings = clip.encode_from_tokens(clip.tokenize(prompt))[0].float().cpu()
    read = {part: [token if word else None for chunk in chunks[part] for token, _, word in chunk] for part in parts}
    readings, first = [], len(embeddings) - sum(map(len, read.values()))
    for part, tokens in read.items():
        readings.append(Reading(part, tuple(tokens), first, _tokenizer(clip, part).inv_vocab))
        first += len(tokens)
    return Prompt(embeddings, readings)


def _tokenizer(clip, part):
    """ComfyUI's, of one text encoder."""
    return next(getattr(clip.tokenizer, name) for name in (part, f"clip_{part}") if hasattr(clip.tokenizer, name))


def _any_loaded(clip, parts) -> bool:
    return any(getattr(clip.cond_stage_model, part, None) is not None for part in parts)


def _common(one, other) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other)))


def _last(ids, token) -> int:
    return len(ids) - 1 - ids[::-1].index(token)


class AnimaEncoder(TextEncoder):
    """Qwen3 reads the text; the model's own adapter makes embeddings of T5's tokens from that."""

    name = "qwen3 of Anima"
    is_causal = False

    def tokens(self, clip, text: str) -> list[int]:
        """T5's."""
        tokenizer = clip.tokenizer.t5xxl.tokenizer
        tokens = tokenizer(text)["input_ids"][:-1]
        _check_known(text, tokens, tokenizer)
        return tokens

    def encode(self, clip, text: str) -> Encoded:
        encoded = clip.encode_from_tokens(clip.tokenize(text, disable_weights=True), return_dict=True)
        read, ids = encoded["cond"][0].float().cpu(), encoded["t5xxl_ids"]
        return Encoded(torch.zeros(len(ids) - 1, read.shape[1]), sequence=read, refiner_ids=ids)

    def read(self, clip, prompt: str) -> Prompt:
        """T5's tokens, whose embeddings the model alone makes."""
        encoded = clip.encode_from_tokens(clip.tokenize(prompt), return_dict=True)
        read, ids = encoded["cond"][0].float().cpu(), encoded["t5xxl_ids"]
        (chunk,) = clip.tokenize(prompt, return_word_ids=True)["t5xxl"]
        tokens = tuple(token if word else None for token, _, word in chunk)
        reading = Reading("t5xxl", tokens, 0, clip.tokenizer.t5xxl.inv_vocab)
        return Prompt(torch.zeros(len(ids), read.shape[1]), [reading], (read,), (ids,), (encoded["t5xxl_weights"],))


T5, CLIP = T5Encoder("t5", "t5xxl"), CLIPEncoder("clip", "lg", other="t5")
# By the class of the tokenizer, whose template tells more than what it is made of; the first is the default.
BY_TOKENIZER: dict[str, tuple[TextEncoder, ...]] = {
    "FluxTokenizer": (T5,),
    "SD3Tokenizer": (CLIP, T5),
    "SDXLTokenizer": (CLIPEncoder("clip-l and clip-g", "lg"),),
    "SD2Tokenizer": (CLIPEncoder("clip-h", "h"),),
    "SD1Tokenizer": (CLIPEncoder("clip-l", "l"),),
    "PixArtTokenizer": (T5,),  # of Chroma
    "Flux2Tokenizer": (LanguageModel("mistral3", padded_to=512),),
    "KleinTokenizer": (LanguageModel("qwen3 of Klein"),),
    "QwenImageTokenizer": (LanguageModel("qwen2.5-vl"),),
    "OvisTokenizer": (LanguageModel("qwen3 of Ovis"),),
    "LongCatImageTokenizer": (LanguageModel("qwen2.5-vl of LongCat", cuts_end=True),),
    "ZImageTokenizer": (LanguageModel("qwen3 of Z-Image"),),
    "LuminaTokenizer": (LanguageModel("gemma2", reads_weights=True),),
    "CosmosT5Tokenizer": (T5,),
    "CogVideoXTokenizer": (T5,),
    "AnimaTokenizer": (AnimaEncoder(),),
    "Krea2Tokenizer": (LanguageModel("qwen3-vl of Krea 2"),),
    "HunyuanImageTokenizer": (LanguageModel("qwen2.5-vl of HunyuanImage"),),
    "HunyuanVideoTokenizer": (LanguageModel("llama of HunyuanVideo", reads_weights=True, part="llama"),),
    "HunyuanVideo15Tokenizer": (LanguageModel("qwen2.5-vl of HunyuanVideo 1.5"),),
    "LTXVT5Tokenizer": (T5,),
    "WanT5Tokenizer": (T5Encoder("umt5", "umt5xxl"),),
}


def encoders_of(clip) -> tuple[TextEncoder, ...]:
    """The text encoders of a ComfyUI CLIP that concepts can be read with; none if it is of an unknown kind."""
    kind, *bases = [kind.__name__ for kind in type(clip.tokenizer).__mro__]
    kinds = [kind, *(base for base in bases if base != "SD1Tokenizer")]  # of which nearly all others are made
    return next((BY_TOKENIZER[kind] for kind in kinds if kind in BY_TOKENIZER), ())


def _check_loaded(clip, parts, name, other):
    if not _any_loaded(clip, parts):
        raise ValueError(f"This CLIP was loaded without {name}: load it with {name}, or set encoder to {other}.")


def _check_known(text, tokens, tokenizer):
    unknown = tokenizer.unk_token_id if hasattr(tokenizer, "unk_token_id") else tokenizer.tokenizer.unk_id()  # of SentencePiece itself
    if unknown in tokens:
        raise ValueError(
            f"T5 does not know all letters of the concept {text!r} and would take it for any other such word: write it in English."
        )
    _check_length(text, tokens, MOST_TOKENS)


def _check_length(text, tokens, room):
    if len(tokens) > room:
        raise ValueError(f'The concept "{text[:60]}…" has {len(tokens)} tokens, and at most {room} are read of a concept: make it shorter.')
