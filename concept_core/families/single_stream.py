"""The concept stream in models whose text and image run through the same weights of one stream.

Their blocks have no replacement patches: attention overrides alone reach them. The concept rows run through a block's own weights with the
text's modulation and positions, as the prompt's text does in the authors' CogVideoX.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from .joint import OVERRIDE, Entered, called, record_block
from .prompt_words import mask_of, record_words


class SingleStream:
    """The concept tokens on their way through the blocks of one forward pass."""

    def __init__(self, forward):
        self.forward = forward

    def hook(self, transformer_options: dict, left_out=()) -> dict:
        """A copy of the options in which every block's attention reports to the forward pass. Nothing can be left out."""
        options = {name: value for name, value in transformer_options.items() if name not in ("block_index", "block_type")}
        return {**options, OVERRIDE: partial(self.attention, options.get(OVERRIDE))}

    def attention(self, overridden, function, q, k, v, *args, **kwargs):
        """An attention override, given the one that was there."""
        out = called(overridden, function, q, k, v, *args, **kwargs)
        index = self.block_index(kwargs)
        if index is not None and index == len(self.forward.blocks) and not self.forward.is_over:
            with self.forward.spare_the_picture():
                self.listen(index, q, k, v, out, mask_of(*args, **kwargs))
        return out

    def block_index(self, kwargs: dict) -> int | None:
        """Of an attention's keywords; a refiner's has none."""
        return kwargs.get("transformer_options", {}).get("block_index")

    def listen(self, index: int, q: Tensor, k: Tensor, v: Tensor, out: Tensor, mask: Tensor | None):
        """q, k, v: [B, heads, tokens, d]"""
        first = self.first_image_token(q.shape[2])
        if self.forward.recording.concepts.of_prompt:
            record_words(self.forward, self.prompt_span(first), first, q, k, mask)
            return
        if index == 0:
            self.begin(q.dtype)
        entered = self.enter(index)
        concept_out = record_block(self, entered, first, q, k, v, out, {})
        if index < self.forward.recording.depth - 1:  # after which nothing asks for the concepts
            entered.leave(concept_out)

    def begin(self, dtype):
        """Bring the concepts to where the blocks begin."""
        raise NotImplementedError

    def enter(self, index: int) -> Entered:
        raise NotImplementedError

    def first_image_token(self, tokens: int) -> int:
        """In a block's sequence of so many; ValueError where it holds tokens that the model does not put there."""
        raise NotImplementedError

    def prompt_span(self, first: int) -> tuple[int, int]:
        """Where in a block's sequence the prompt begins, and where it and its padding end. first: where the picture does."""
        return 0, first

    def image_queries(self, q: Tensor, args: dict) -> Tensor:
        """[B, heads, N, d], as they are before rotary positions; q: the picture's, as attention gets them."""
        return q

    def refined(self, refine: Callable[[Tensor], Tensor], prepared: Iterable[Tensor]) -> Tensor:
        """[1, T, width]: each concept's text [1, L, width] refined alone, and its own tokens cut out.

        Texts of one length are refined beside one another.
        """
        texts = list(prepared)
        done: dict[int, Tensor] = {}
        for length in {text.shape[1] for text in texts}:
            alike = [place for place, text in enumerate(texts) if text.shape[1] == length]
            done |= dict(zip(alike, refine(torch.cat([texts[place] for place in alike]))))
        spans = self.forward.on_device.spans
        return torch.cat([done[place][start:stop] for place, (start, stop) in enumerate(spans)])[None]


def repeated(x: Tensor, heads: int) -> Tensor:
    """Grouped keys or values [B, kv heads, T, d] for each head."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)
