"""Words of the prompt where the picture attends to text: how much of its attention it gives to each."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..recording.prompt_words import word_scores
from ..recording.scores import PROMPT_WORDS


def record_words(forward, text: tuple[int, int], first: int, q: Tensor, k: Tensor, mask: Tensor | None = None):
    """One block. q, k: [B, heads, tokens, d], all that it attends with, its positions included; k may have fewer heads.

    text: where in the block's sequence the prompt begins and ends. first: where the picture begins. mask: the attention's.
    """
    picture, text_span = slice(first, first + forward.image_tokens), slice(*text)
    if mask is not None:
        mask = forward.take(added(mask)[..., text_span])
        mask = mask if mask.shape[2] == 1 else mask[:, :, picture]
    q, k = forward.take(q)[:, :, picture], forward.take(k)[:, :, text_span]
    forward.record({PROMPT_WORDS: word_scores(q, k, forward.token_weights, mask, forward.copies)})


def mask_of(heads=None, mask: Tensor | None = None, *args, **kwargs) -> Tensor | None:
    """Of what an attention is called with behind queries, keys and values."""
    return mask


def added(mask: Tensor) -> Tensor:
    """[B or 1, heads or 1, tokens or 1, tokens] to be added to scores, from a mask as ComfyUI's attentions take it."""
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, float("-inf"))
    mask = mask[None] if mask.ndim == 2 else mask
    return mask[:, None] if mask.ndim == 3 else mask


def copies_of(forward, context: Tensor, prompt_read: Callable[..., Tensor]) -> int:
    """How often the model's context [B, tokens, width] holds the prompt whose words are heard: ComfyUI repeats it where the other prompt
    is longer. ValueError if it is another one than prompt_read(dtype) gives [T, width], which is looked at in the first step."""
    copies, rest = divmod(context.shape[1], len(forward.on_device.embeddings))
    if not rest and forward.receiver.heard:
        return copies
    context = forward.take(context)
    repeated = prompt_read(context.dtype).repeat(copies, 1).to(context)
    if rest or not torch.allclose(context.float(), repeated.float().expand_as(context), rtol=0.02, atol=0.02):
        which = forward.recording.concepts.of_prompt
        raise ValueError(
            f"The sampler's {which} prompt is not the text that Prompt Words was given: write the same text into both, and connect "
            "the same CLIP. A prompt that was joined or changed behind its text encoder cannot be read word by word."
        )
    return copies
