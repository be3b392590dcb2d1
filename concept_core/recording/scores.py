"""One number for each concept and image token, in float32, in each of the paper's three spaces."""

from torch import Tensor, einsum
from torch.nn.functional import normalize

ATTENDS_TO = ("concepts", "image")
SPACES = ("output", "cross-attention", "value")
PROMPT_WORDS = "prompt words"  # of concepts that are words of the prompt itself
# Beside the mean over heads, cross-attention is kept after a softmax over concepts in each head, as in the paper.
CROSS_SHARE = "cross-attention, softmax per head"


def output_scores(token_weights: Tensor | None, concept_out: Tensor, image_out: Tensor, normalise: bool = False) -> Tensor:
    """[B, C, N]: o_c · o_x, the mean over a concept's tokens. concept_out [B, T, D], image_out [B, N, D].

    token_weights: [C, T]; None where each concept has one token. normalise: scale each concept token's vector to length 1 before.
    """
    concept_out = normalize(concept_out.float(), dim=-1) if normalise else concept_out.float()
    return _mean_over_tokens(token_weights, concept_out) @ image_out.float().transpose(1, 2)


def cross_scores(token_weights: Tensor | None, concept_k: Tensor, image_q: Tensor) -> dict[str, Tensor]:
    """[B, C, N] each: image queries · concept keys, both [B, heads, ·, d], raw and as shares, the mean over heads."""
    per_head = _mean_over_tokens(token_weights, concept_k.float()) @ image_q.float().transpose(2, 3)
    return {"cross-attention": per_head.mean(1), CROSS_SHARE: per_head.softmax(2).mean(1)}


def value_scores(token_weights: Tensor | None, concept_v: Tensor, image_v: Tensor) -> Tensor:
    """[B, C, N]: v_c · v_x with heads joined; concept_v [B, heads, T, d], image_v [B, heads, N, d]."""
    return einsum("bhcd,bhnd->bcn", _mean_over_tokens(token_weights, concept_v.float()), image_v.float())


def _mean_over_tokens(weights, vectors):
    """[..., C, d] from [..., T, d]."""
    return vectors if weights is None else weights @ vectors
