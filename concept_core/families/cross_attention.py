"""What is heard of models whose text is keys and values of cross-attention alone.

No text token runs through such a model, so there is no concept stream: a layer's queries of the picture are held against keys of the
concepts, or against the prompt's own. The layer's attention goes on as it would have.
"""

import torch
from torch import Tensor

from ..recording.grid import resized
from ..recording.prompt_words import probabilities
from ..recording.scores import cross_scores
from .joint import split_heads


class ConceptScores:
    """One block, which may have several layers: the mean of their scores, each brought to the picture's grid.

    A layer's own projection makes keys of the concepts' embeddings.
    """

    def __init__(self, forward, grid: tuple[int, int]):
        self.forward, self.grid = forward, grid
        self.layers: list[dict[str, Tensor]] = []

    def add(self, attention, q: Tensor, k: Tensor, size: tuple[int, int]):
        """attention: the layer's, with its `to_k` and `heads`. q [B, N, heads · d], k [B, tokens, heads · d]: what it attends with.
        size: rows and columns of its N queries."""
        keys = split_heads(attention.to_k(self.forward.concepts(q.dtype)[:1]), attention.heads)
        keys = keys / keys.shape[-1] ** 0.5  # as the layer's own attention has them
        scores = cross_scores(self.forward.token_weights, keys, split_heads(self.forward.take(q), attention.heads))
        self.layers.append({space: resized(each, size, self.grid) for space, each in scores.items()})

    def close(self):
        """Record the block."""
        self.forward.record({space: torch.stack([layer[space] for layer in self.layers]).mean(0) for space in self.layers[0]})


class PromptWordSums:
    """One block: the probabilities with which each head of each of its layers attends to words of the prompt, as DAAM sums them up."""

    def __init__(self, forward):
        self.forward = forward
        self.layers: list[Tensor] = []

    def add(self, attention, q: Tensor, k: Tensor, size: tuple[int, int]):
        """As ConceptScores."""
        q, k = (split_heads(self.forward.take(x), attention.heads) for x in (q, k))
        concepts = self.forward.on_device
        self.layers.append(probabilities(q, k, concepts.used_tokens, len(concepts.embeddings)).unflatten(3, size))

    def close(self):
        self.forward.sums.append(self.layers)


def check_prompt(context: Tensor, prompt: Tensor):
    """ValueError unless the model's context [B, tokens, width] is the prompt [L, width], or copies of it, which ComfyUI makes where the
    negative prompt is longer."""
    copies, rest = divmod(context.shape[1], len(prompt))
    repeated = prompt.repeat(copies, 1).to(context)
    if rest or not torch.allclose(context.float(), repeated.float().expand_as(context), rtol=0.02, atol=0.02):
        raise ValueError(
            "The sampler's positive prompt is not the text that Prompt Words was given: write the same text into both, and connect "
            "the same CLIP. A prompt that was joined or changed behind its text encoder cannot be read word by word."
        )
