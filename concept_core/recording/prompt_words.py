"""Attention to the prompt's own words, as DAAM (Tang et al. 2022) makes maps of it."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import interpolate

NUMBERS_AT_ONCE = 1 << 24  # of all heads, queries and tokens


def probabilities(q: Tensor, k: Tensor, tokens: Tensor, length: int) -> Tensor:
    """[B, heads, T, N] of some `tokens` [T] of a prompt of `length` tokens, after a softmax over all of it.

    q: [B, heads, N, d]. k: [B, heads, copies · length, d]; a token's probability is the sum over its copies.
    """
    parts = [of_all.unflatten(3, (-1, length)).sum(3)[..., tokens] for of_all in attended(q, k)]
    return torch.cat(parts, 2).transpose(2, 3)


def word_scores(q: Tensor, k: Tensor, token_weights: Tensor, mask: Tensor | None = None, copies: int = 1) -> Tensor:
    """[B, C, N]: with which probability the picture attends to each word, of all that is said to it; the mean over heads and tokens.

    q: [B, heads, N, d]. k: [B, heads or fewer, copies · L + others, d], the prompt, or copies of it, and what a model adds to its end.
    token_weights: [C, L]. mask: as attended has it.
    """
    k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    length = token_weights.shape[1]
    parts = []
    for of_all in attended(q, k, mask):
        of_prompt = of_all.mean(1)[..., : copies * length].unflatten(2, (copies, length)).sum(2)
        parts.append(of_prompt @ token_weights.T)
    return torch.cat(parts, 1).transpose(1, 2)


def attended(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Iterator[Tensor]:
    """[B, heads, n, T], softmaxed over T in float32, of some queries after the others: never more than about NUMBERS_AT_ONCE.

    mask: [B or 1, heads or 1, N or 1, T], added to the scores.
    """
    k = k.float().transpose(2, 3) / q.shape[-1] ** 0.5
    at_once = max(1, NUMBERS_AT_ONCE // (k.shape[0] * k.shape[1] * k.shape[3]))
    for first in range(0, q.shape[2], at_once):
        scores = q[:, :, first : first + at_once].float() @ k
        if mask is not None:
            scores += mask if mask.shape[2] == 1 else mask[:, :, first : first + at_once]
        yield scores.softmax(-1)


def added_up(sums: list[list[Tensor]] | None, others: list[list[Tensor]]) -> list[list[Tensor]]:
    """Blocks of layers [B, heads, T, h, w], what is new added to what there was. ValueError where a layer has changed its size."""
    if sums is None:
        return others
    for layers, new in zip(sums, others):
        for layer, one in zip(layers, new):
            if layer.shape != one.shape:
                raise ValueError(
                    "Maps of prompt words are sums over steps, and a patch such as Deep Shrink changes the size of this model's layers "
                    "from step to step: take it out, or name concepts with Encode Concepts instead."
                )
            layer += one
    return sums


def word_maps(sums: list[list[Tensor]], token_weights: Tensor, grid: tuple[int, int]) -> Tensor:
    """[blocks, B, C, N], of which the mean over blocks is DAAM's map of each word.

    DAAM brings the sum over steps of each layer and head to one size, cuts it off below 0, and takes the mean over all layers and heads;
    a word's is the mean over its tokens. So a block counts as often as it has heads. sums: as added_up. token_weights: [C, T].
    """
    heads = sum(layer.shape[1] for layers in sums for layer in layers)
    blocks = torch.stack([sum(_of_layer(layer, grid) for layer in layers) for layers in sums])
    return token_weights @ blocks * (len(sums) / heads)


def _of_layer(layer: Tensor, grid: tuple[int, int]) -> Tensor:
    """[B, T, N], the sum over heads."""
    brought = interpolate(layer.flatten(0, 1), grid, mode="bicubic").clamp(min=0)
    return brought.unflatten(0, layer.shape[:2]).sum(1).flatten(2)
