"""From the words a user types to the token embeddings that start the concept stream."""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

T5_END = 1


@dataclass(frozen=True)
class Concepts:
    """Named concepts and their text embeddings.

    names: the concepts to show, then those that only compete in the softmax.
    shown: how many of `names` are to be shown.
    encoder: "t5", the text encoder that the embeddings come from.
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


def encode_concepts(clip, concepts: str, background: str = "", tokens: str = "all tokens", encoder: str = "auto"):
    """Encode each concept alone and keep its own tokens, never padding or the end token (SPEC: paper, section 3).

    clip: a ComfyUI CLIP of the Flux type. Prompt syntax in a concept is literal text.
    Raises ValueError where there is no concept or the CLIP is of another family.
    """
    shown = parse_concepts(concepts)
    if not shown:
        raise ValueError("No concepts: name at least one, separated by commas or lines (for example: dragon, rock, sky).")
    hidden = [name for name in parse_concepts(background) if name not in shown]
    check_clip(clip, encoder)
    spans = [encode_t5(clip, name) for name in shown + hidden]
    if tokens == "first token":
        spans = [span[:1] for span in spans]
    owner = torch.repeat_interleave(torch.tensor([len(span) for span in spans]))
    share = torch.nn.functional.one_hot(owner).T.float()
    return Concepts(
        names=tuple(shown + hidden),
        shown=len(shown),
        encoder="t5",
        embeddings=torch.cat(spans),
        token_share=share / share.sum(1, keepdim=True),
    )


def check_clip(clip, encoder):
    """Flux's text encoders are CLIP-L and T5; concepts are T5 tokens."""
    if clip is None:
        raise ValueError("There is no CLIP: the checkpoint holds no text encoder. Load one with DualCLIPLoader, type flux.")
    encoders = set(clip.tokenize(""))
    if encoders != {"l", "t5xxl"}:
        raise ValueError(
            f"This CLIP (text encoders: {', '.join(sorted(encoders))}) is not of a supported family. "
            "Supported: Flux 1 (CLIP-L and T5-XXL, DualCLIPLoader with type flux)."
        )
    if encoder == "clip":
        raise ValueError("Flux 1 reads concepts from T5: set encoder to auto or t5.")


def encode_t5(clip, text: str) -> Tensor:
    """[tokens, width]: T5's embeddings of the text's own tokens, encoded with Flux's usual padding."""
    empty = clip.tokenize("")
    words = clip.tokenizer.t5xxl.tokenizer(text)["input_ids"][:-1]
    padded = [(token, 1.0) for token in words] + empty["t5xxl"][0]
    length = max(len(empty["t5xxl"][0]), len(words) + 1)
    embeddings = clip.encode_from_tokens({**empty, "t5xxl": [padded[:length]]})
    return embeddings[0, : len(words)].float().cpu()
