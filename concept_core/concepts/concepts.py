"""Named concepts, as a text encoder reads them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Concepts:
    """Named concepts and their text embeddings.

    names: the concepts to show, then those that only compete in the softmax.
    num_shown: how many of `names` are to be shown.
    encoder: the text encoder that the embeddings come from, by name.
    embeddings: [T, width], the tokens of all concepts one after the other.
    token_weights: [C, T], row c holds 1 / (number of c's tokens) at c's tokens: it averages over them.
    positions: [T] int, which token of the prompt each would be if its concept alone were the prompt; None where no model asks.
    sequences: for models that refine a text before their blocks, each concept's whole text [L, width], of which its tokens are
    those from `starts` on.
    refiner_ids: for Anima, whose adapter asks by T5's numbers of a text's tokens: those of each concept [tokens with the end].
    refiner_weights: by what the answers are multiplied, where the text is a prompt.
    of_prompt: "positive" or "negative" where the concepts are words of that prompt of the sampler's, whose tokens are T; those that
    belong to no word have weight 0.
    """

    names: tuple[str, ...]
    num_shown: int
    encoder: str
    embeddings: Tensor
    token_weights: Tensor
    positions: Tensor | None = None
    sequences: tuple[Tensor, ...] = ()
    starts: tuple[int, ...] = ()
    refiner_ids: tuple[Tensor, ...] = ()
    refiner_weights: tuple[Tensor, ...] = ()
    of_prompt: str = ""
