"""Named concepts, as a text encoder reads them."""

from dataclasses import dataclass

from torch import Tensor


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
