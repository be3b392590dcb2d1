"""What is heard of models whose text is keys and values of cross-attention alone.

No text token runs through such a model, so there is no concept stream: a layer's queries of the picture are held against keys of the
concepts, or against the prompt's own. The layer's attention goes on as it would have.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..recording.grid import resized
from ..recording.prompt_words import probabilities
from ..recording.scores import cross_scores


class ConceptScores:
    """One block, which may have several layers: the mean of their scores, each brought to the picture's grid."""

    def __init__(self, forward, grid: tuple[int, ...]):
        self.forward, self.grid = forward, grid
        self.layers: list[dict[str, Tensor]] = []

    def add(self, q: Tensor, k: Tensor, concept_keys: Callable[[], Tensor], size: tuple[int, ...]):
        """q [B, heads, N, d], k [B, heads, tokens, d]: what a layer attends with. concept_keys: what it makes of the concepts' embeddings
        [1, heads, T, d]. size: rows and columns of its N queries, behind frames where there are several."""
        keys = concept_keys() / q.shape[-1] ** 0.5  # as the layer's own attention has them
        scores = cross_scores(self.forward.token_weights, keys, self.forward.take(q))
        self.layers.append({space: resized(each, size, self.grid) for space, each in scores.items()})

    def close(self):
        """Record the block."""
        self.forward.record({space: torch.stack([layer[space] for layer in self.layers]).mean(0) for space in self.layers[0]})


class PromptWordSums:
    """One block: the probabilities with which each head of each of its layers attends to words of the prompt, as DAAM sums them up."""

    def __init__(self, forward):
        self.forward = forward
        self.layers: list[Tensor] = []

    def add(self, q: Tensor, k: Tensor, concept_keys: Callable[[], Tensor], size: tuple[int, ...]):
        """As ConceptScores."""
        concepts, take = self.forward.on_device, self.forward.take
        self.layers.append(probabilities(take(q), take(k), concepts.used_tokens, len(concepts.embeddings)).unflatten(3, size))

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
