"""Concept scores of ComfyUI's Cosmos Predict2 and Anima restated in float64: how a concept's key answers each cross-attention's queries."""

import copy
import math
from collections.abc import Iterator

import torch
from restated_single import attention, grid_ids, heads, patched, rms, sinusoid
from torch import Tensor
from torch.nn.functional import pad, silu


@torch.no_grad()
def restated(family: str, model, x: Tensor, context: Tensor, options: dict, concepts, sigma: float) -> dict:
    """space → scores [blocks, B, C, N] in float64, of x [B, channels, 1, rows, columns]."""
    if family not in ("cosmos", "anima"):
        raise ValueError(family)
    network = copy.deepcopy(model.model.diffusion_model).double()
    t = model.model.model_sampling.timestep(torch.tensor([sigma])).float()
    u = x.double() / (1 + sigma) if family == "cosmos" else x.double()
    c = concepts.embeddings.double() if family == "cosmos" else adapted(network.llm_adapter, concepts)
    text = context.double() if family == "cosmos" else prompt_adapted(network.llm_adapter, context[0].double(), options)
    scores = []
    for block, q in zip(network.blocks, queries(network, u, text, t), strict=True):
        k_c = concepts.token_weights.double() @ keyed(block.cross_attn, c)
        scores.append(k_c @ q.transpose(-1, -2) / math.sqrt(q.shape[-1]))
    s = torch.stack(scores)
    return {"cross-attention": s.mean(2), "cross-attention, softmax per head": s.softmax(3).mean(2)}


def queries(network, x: Tensor, context: Tensor, t: Tensor) -> Iterator[Tensor]:
    """Each cross-attention's queries [B, heads, N, d]. x, t: as the network gets them."""
    patches = torch.stack([patched(latent, network.patch_spatial)[0] for latent in x.split(1)])
    u = network.x_embedder.proj[1](pad(patches, (0, 0, 0, 1)).flatten(-2))  # the mask of padding is a channel of zeros
    wave, embedder = sinusoid(t, network.model_channels, 1), network.t_embedder[1]
    emb, added = normed(network.t_embedding_norm, wave), embedder.linear_2(silu(embedder.linear_1(wave)))
    turns = of_picture(network, x)
    for block in network.blocks:
        shift, scale, gate = (block.adaln_modulation_self_attn(emb) + added).chunk(3, -1)
        n = block.layer_norm_self_attn(u) * (1 + scale) + shift
        o = attended(block.self_attn, rotated(queried(block.self_attn, n), turns), n, turns)
        u = u + gate * block.self_attn.output_proj(o)

        shift, scale, gate = (block.adaln_modulation_cross_attn(emb) + added).chunk(3, -1)
        q = queried(block.cross_attn, block.layer_norm_cross_attn(u) * (1 + scale) + shift)
        yield q
        u = u + gate * block.cross_attn.output_proj(attended(block.cross_attn, q, context))

        shift, scale, gate = (block.adaln_modulation_mlp(emb) + added).chunk(3, -1)
        u = u + gate * block.mlp(block.layer_norm_mlp(u) * (1 + scale) + shift)


def adapted(adapter, concepts) -> Tensor:
    """Each concept's tokens but the end after Anima's adapter, one concept after the other: [T, width]."""
    texts = zip(concepts.refiner_ids, concepts.sequences, strict=True)
    return torch.cat([one_adapted(adapter, ids, sequence.double())[:-1] for ids, sequence in texts])


def prompt_adapted(adapter, sequence: Tensor, options: dict) -> Tensor:
    """[1, 512, width]: each token's answer times its weight, and zeros behind them."""
    answers = one_adapted(adapter, options["t5xxl_ids"], sequence) * options["t5xxl_weights"].double()[:, None]
    return pad(answers, (0, 0, 0, 512 - len(answers)))[None]


def one_adapted(adapter, ids: Tensor, sequence: Tensor) -> Tensor:
    """T5's token numbers [tokens] answered by a text's hidden states [L, source width]: [tokens, width]."""
    u = adapter.in_proj(adapter.embed.weight[ids.long()])
    for block in adapter.blocks:
        width = block.cross_attn.head_dim
        turns, of_sequence = (angles(torch.arange(len(tokens)), width) for tokens in (u, sequence))
        n = normed(block.norm_self_attn, u)
        u = u + block.self_attn.o_proj(attended(block.self_attn, rotated(queried(block.self_attn, n), turns), n, turns))
        q = rotated(queried(block.cross_attn, normed(block.norm_cross_attn, u)), turns)
        u = u + block.cross_attn.o_proj(attended(block.cross_attn, q, sequence, of_sequence))
        u = u + block.mlp(normed(block.norm_mlp, u))
    return normed(adapter.norm, adapter.out_proj(u))


def queried(attn, n: Tensor) -> Tensor:
    """[..., heads, tokens, d], before positions."""
    return normed(attn.q_norm, heads(attn.q_proj(n), attn.n_heads))


def keyed(attn, n: Tensor) -> Tensor:
    """[..., heads, tokens, d], before positions."""
    return normed(attn.k_norm, heads(attn.k_proj(n), attn.n_heads))


def attended(attn, q: Tensor, n: Tensor, turns: Tensor | None = None) -> Tensor:
    """[..., queries, heads · d] before the last projection. turns: of the keys."""
    k = keyed(attn, n)
    return attention(q, k if turns is None else rotated(k, turns), heads(attn.v_proj(n), attn.n_heads))


def normed(module, u: Tensor) -> Tensor:
    return rms(u, module.weight, module.eps)


def rotated(u: Tensor, turns: Tensor) -> Tensor:
    """Each pair (uᵢ, uᵢ + d/2) turned. turns: [tokens, d / 2]."""
    a, b = u.chunk(2, -1)
    return torch.cat((a * turns.cos() - b * turns.sin(), a * turns.sin() + b * turns.cos()), -1)


def of_picture(network, x: Tensor) -> Tensor:
    """Angles [N, d / 2] of the picture's tokens: first the frame's, then the row's, then the column's."""
    rows, columns = (torch.arange(-(-side // network.patch_spatial)) for side in x.shape[-2:])
    d = network.model_channels // network.num_heads
    widths = d - 4 * (d // 6), 2 * (d // 6), 2 * (d // 6)
    ratios = network.rope_t_extrapolation_ratio, network.rope_h_extrapolation_ratio, network.rope_w_extrapolation_ratio
    return torch.cat([angles(*axis) for axis in zip(grid_ids(0, rows, columns).T, widths, ratios, strict=True)], -1)


def angles(positions: Tensor, width: int, ratio: float = 1.0) -> Tensor:
    """positions · θ^(-2i / width): [positions, width / 2]."""
    theta = 10000 * ratio ** (width / (width - 2))
    return positions.double()[:, None] * theta ** (-torch.arange(0, width, 2).double() / width)
