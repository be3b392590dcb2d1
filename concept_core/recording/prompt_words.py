"""Attention to the prompt's own words, as DAAM (Tang et al. 2022) makes maps of it."""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

QUERIES_AT_ONCE = 4096


def probabilities(q: Tensor, k: Tensor, tokens: Tensor, length: int) -> Tensor:
    """[B, heads, T, N] of some `tokens` [T] of a prompt of `length` tokens, after a softmax over all of it.

    q: [B, heads, N, d]. k: [B, heads, copies · length, d]; a token's probability is the sum over its copies.
    """
    parts = []
    for part in q.split(QUERIES_AT_ONCE, 2):
        of_all = (part.float() @ k.float().transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
        parts.append(of_all.unflatten(3, (-1, length)).sum(3)[..., tokens])
    return torch.cat(parts, 2).transpose(2, 3)


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
