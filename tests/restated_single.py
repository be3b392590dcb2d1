"""ConceptAttention restated in float64 where text and image run through the same weights: three ComfyUI families, and Flux's single blocks.

`restated` gives the scores of each space. `passed` gives the streams as well, for checks against ComfyUI's own network.
"""

import copy
import math
from collections import namedtuple
from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, pad, silu

# enter: (u, m) → n, normed and modulated. qkv: n → q, k, v [..., heads, tokens, d], before positions.
# leave: (u, n, o, m) → u after the block. plain: the modulation m that changes nothing.
Parts = namedtuple("Parts", "enter qkv leave plain")
Piece = namedtuple("Piece", "tokens ids zero")  # [tokens, D], [tokens, 3], whether it has timestep zero's modulation
Passed = namedtuple("Passed", "scores joint concept picture")  # two [tokens, D] after the last block; a slice of joint


@torch.no_grad()
def restated(family: str, model, x: Tensor, context: Tensor, options: dict, concepts, sigma: float) -> dict:
    """space → scores [blocks, 1, C, N] in float64, of the picture's own N tokens."""
    return passed(family, model, x, context, options, concepts, sigma).scores


@torch.no_grad()
def passed(family: str, model, x: Tensor, context: Tensor, options: dict, concepts, sigma: float) -> Passed:
    """The scores and the last states of both streams."""
    if family not in ("z-image", "lumina2", "krea2"):
        raise ValueError(family)
    network = copy.deepcopy(model.model.diffusion_model).double()
    t = model.model.model_sampling.timestep(torch.tensor([sigma])).float().double()
    begin = krea_start if family == "krea2" else lumina_start
    start = begin(network, x.double(), context.double(), options, concepts, t)
    layers = network.blocks if family == "krea2" else network.layers
    weights = concepts.token_weights.double()
    per_block = [one_block(start, start.parts(layer), start.modulation(layer), weights) for layer in layers]
    scores = {space: torch.stack([block[space] for block in per_block])[:, None] for space in per_block[0]}
    return Passed(scores, start.joint, start.concept, start.picture)


def one_block(start: SimpleNamespace, parts: Parts, modulation: tuple, weights: Tensor, turned=False) -> dict:
    """One block: updates both streams, returns space → [C, N]. `modulation`: [times, D] each; row 0 is the timestep's own.
    turned: the queries that concepts' keys answer have their positions."""
    m, m_c = tuple(part[start.zero] for part in modulation), tuple(part[:1] for part in modulation)
    n, n_c = parts.enter(start.joint, m), parts.enter(start.concept, m_c)
    (q, k, v), (q_c, k_c, v_c) = parts.qkv(n), parts.qkv(n_c)
    keys, seen = rotated(k, start.rotary), start.picture
    turned_q = rotated(q, start.rotary)
    o = attention(turned_q, keys, v)
    near, near_values = torch.cat((rotated(k_c, start.concept_rotary), keys[:, seen]), 1), torch.cat((v_c, v[:, seen]), 1)
    o_c = attention(rotated(q_c, start.concept_rotary), near, near_values)
    start.joint, start.concept = parts.leave(start.joint, n, o, m), parts.leave(start.concept, n_c, o_c, m_c)
    per_head = torch.einsum("ct,htd,hnd->hcn", weights, k_c, (turned_q if turned else q)[:, seen])
    return {
        "output": weights @ o_c @ o[seen].T,
        "cross-attention": per_head.mean(0),
        "cross-attention, softmax per head": per_head.softmax(1).mean(0),
        "value": weights @ joined(v_c) @ joined(v)[seen].T,
    }


def whole(parts: Parts, u: Tensor, rotary: Tensor | None = None, m: tuple | None = None) -> Tensor:
    """A block over tokens that all see each other: refiners."""
    m = parts.plain if m is None else m
    n = parts.enter(u, m)
    q, k, v = parts.qkv(n)
    return parts.leave(u, n, attention(rotated(q, rotary), rotated(k, rotary), v), m)


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v with heads joined: [..., queries, heads · d]."""
    return joined((q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1) @ v)


def heads(u: Tensor, count: int, times: int = 1) -> Tensor:
    """[..., tokens, count · d] → [..., count · times, tokens, d], each head `times` times in a row."""
    return u.unflatten(-1, (count, -1)).transpose(-2, -3).repeat_interleave(times, -3)


def joined(u: Tensor) -> Tensor:
    """[..., heads, tokens, d] → [..., tokens, heads · d]"""
    return u.transpose(-2, -3).flatten(-2)


def rotated(u: Tensor, table: Tensor | None) -> Tensor:
    """Each pair (u₂ᵢ, u₂ᵢ₊₁) times its 2x2 matrix."""
    return u if table is None else torch.einsum("lpij,hlpj->hlpi", table, u.unflatten(-1, (-1, 2))).flatten(-2)


def table_of(embedder, ids: Tensor) -> Tensor:
    """Rotary matrices [tokens, d / 2, 2, 2] of ids [tokens, 3]; rounded to float32 by ComfyUI."""
    return embedder(ids.float()[None])[0, 0].double()


def rms(u: Tensor, weight: Tensor, eps: float | None) -> Tensor:
    """u / √(mean u² + eps) · weight"""
    return u * (u.square().mean(-1, keepdim=True) + (torch.finfo(u.dtype).eps if eps is None else eps)).rsqrt() * weight


def lumina_parts(block) -> Parts:
    """A block of Lumina 2 or Z-Image; m: scale, gate, scale, gate, of attention and feed forward, gates after their tanh."""
    attn, forward = block.attention, block.feed_forward

    def norm(module, u):
        return rms(u, module.weight, module.eps)

    def qkv(n):
        h, kv = attn.n_local_heads, attn.n_local_kv_heads
        q, k, v = attn.qkv(n).split([count * attn.head_dim for count in (h, kv, kv)], -1)
        k = norm(attn.k_norm, heads(k, kv, h // kv))
        return norm(attn.q_norm, heads(q, h)), k, heads(v, kv, h // kv)

    def leave(u, n, o, m):
        u = u + m[1] * norm(block.attention_norm2, attn.out(o))
        n = norm(block.ffn_norm1, u) * (1 + m[2])
        return u + m[3] * norm(block.ffn_norm2, forward.w2(silu(forward.w1(n)) * forward.w3(n)))

    return Parts(lambda u, m: norm(block.attention_norm1, u) * (1 + m[0]), qkv, leave, (0, 1, 0, 1))


def krea_parts(block) -> Parts:
    """A block of Krea 2 or of its text fusion; m: scale, shift, gate, twice. Its norm's weight is 1 + scale."""
    attn, mlp = block.attn, block.mlp

    def norm(module, u):
        return rms(u, 1 + module.scale, module.eps)

    def qkv(n):
        h, kv = attn.heads, attn.kvheads
        q, k, v = heads(attn.wq(n), h), heads(attn.wk(n), kv, h // kv), heads(attn.wv(n), kv, h // kv)
        return norm(attn.qknorm.qnorm, q), norm(attn.qknorm.knorm, k), v

    def leave(u, n, o, m):
        u = u + m[2] * attn.wo(o * attn.gate(n).sigmoid())
        n = norm(block.postnorm, u) * (1 + m[3]) + m[4]
        return u + m[5] * mlp.down(silu(mlp.gate(n)) * mlp.up(n))

    return Parts(lambda u, m: norm(block.prenorm, u) * (1 + m[0]) + m[1], qkv, leave, (0, 0, 1, 0, 0, 1))


def flux_parts(block) -> Parts:
    """A single block of Flux 1 or Flux.2, whose attention and MLP run side by side; m: shift, scale, gate."""
    norm = block.norm

    def both(n):
        return block.linear1(n).tensor_split([3 * block.hidden_size], -1)

    def qkv(n):
        q, k, v = (heads(u, block.num_heads) for u in both(n)[0].chunk(3, -1))
        return rms(q, norm.query_norm.weight, norm.query_norm.eps), rms(k, norm.key_norm.weight, norm.key_norm.eps), v

    def leave(u, n, o, m):
        return u + m[2] * block.linear2(torch.cat((o, block.mlp_act(both(n)[1])), -1))

    return Parts(lambda u, m: layer_norm(u, u.shape[-1:], eps=1e-6) * (1 + m[1]) + m[0], qkv, leave, (0, 0, 1))


def krea_start(network, x: Tensor, context: Tensor, options: dict, concepts, t: Tensor) -> SimpleNamespace:
    """Both streams before the first block: [prompt, picture, references]; concepts at position 0."""
    how = options.get("ref_latents_method", network.default_ref_method)
    latents = [x, *(latent.double() for latent in options.get("ref_latents") or () if how is not None)]
    text = krea_text(network, context[0])
    pieces = [Piece(text, torch.zeros(len(text), 3), False)]
    for index, latent in enumerate(latents):
        patches, rows, columns = patched(latent, network.patch)
        ids = grid_ids(index, torch.arange(rows), torch.arange(columns))
        pieces.append(Piece(network.first(patches.flatten(-2)), ids, index > 0 and how == "index_timestep_zero"))
    count = concepts.token_weights.shape[1]
    concept = own_tokens(concepts, [krea_text(network, sequence.double()) for sequence in concepts.sequences])
    vector = network.tproj(network.tmlp(sinusoid(torch.cat((t, 0 * t)), network.tdim)))
    picture = slice(len(text), len(text) + len(pieces[1].ids))
    return streams(
        network.pe_embedder,
        pieces,
        concept,
        torch.zeros(count, 3),
        picture,
        krea_parts,
        lambda block: (vector + block.mod.lin).chunk(6, -1),
    )


def krea_text(network, sequence: Tensor) -> Tensor:
    """A text alone through the fusion of the encoder's layers, first within each token, and the projection: [tokens, D]."""
    fusion, (norm, *rest) = network.txtfusion, network.txtmlp
    u = sequence.unflatten(-1, (network.txtlayers, network.txtdim))
    for block in fusion.layerwise_blocks:
        u = whole(krea_parts(block), u)
    u = torch.einsum("lnd,n->ld", u, fusion.projector.weight[0])
    for block in fusion.refiner_blocks:
        u = whole(krea_parts(block), u)
    u = rms(u, 1 + norm.scale, norm.eps)
    for module in rest:
        u = module(u)
    return u


def lumina_start(network, x: Tensor, context: Tensor, options: dict, concepts, t: Tensor) -> SimpleNamespace:
    """Both streams before the first block: [texts, vision features, latents], references before the prompt and the picture."""
    if network.clip_text_pooled_proj is not None:
        raise ValueError("A pooled prompt in the modulation is not restated.")
    texts, visions, images, offset = lumina_pieces(network, x, context[0], options)
    text, *vision, image = (together(pieces) for pieces in (texts, visions, images) if pieces)
    times = network.t_embedder.mlp(sinusoid((1 - torch.cat((t, 0 * t))) * network.time_scale, 256, 1))
    rotary = table_of(network.rope_embedder, image.ids)

    def modulation(block):
        scale, gate, scale2, gate2 = block.adaLN_modulation(times).chunk(4, -1)
        return scale, gate.tanh(), scale2, gate2.tanh()

    for block in network.noise_refiner:
        m = tuple(part[image.zero] for part in modulation(block))
        image = image._replace(tokens=whole(lumina_parts(block), image.tokens, rotary, m))
    pieces = [refined(network, network.context_refiner, text), *(refined(network, network.siglip_refiner, part) for part in vision), image]
    alone = [captioned(network, sequence.double(), 0) for sequence in concepts.sequences]
    concept = own_tokens(concepts, [refined(network, network.context_refiner, text).tokens for text in alone])
    ids = own_tokens(concepts, [text.ids for text in alone]) + torch.tensor([offset, 0, 0])
    first = sum(len(piece.ids) for piece in (*texts, *visions, *images[:-1]))
    picture = slice(first, first + len(patched(x, network.patch_size)[0]))
    return streams(network.rope_embedder, pieces, concept, ids, picture, lumina_parts, modulation)


def lumina_pieces(network, x: Tensor, prompt: Tensor, options: dict) -> tuple:
    """Embedded texts, vision features (where references are) and latents, and the offset of the prompt's positions."""
    references = [latent.double() for latent in options.get("ref_latents") or ()]
    captions = [caption[0].double() for caption in options.get("ref_contexts") or ()] if references else []
    features = [feature[0].double() for feature in options.get("siglip_feats") or ()]
    given = dict(enumerate(captions[: len(references)])) | {len(references): prompt}
    seen = dict(enumerate(features[: len(references)]))
    texts, visions, images, after = [], [], [], 0
    for number, latent in enumerate((*references, x)):
        offset, zero = after, number < len(references)
        texts.append(captioned(network, given.get(number), offset, zero))
        length = len(texts[-1].ids)
        if references and network.siglip_embedder is not None:
            length = len(given.get(number, ()))  # without padding, unlike the rest
            visions.append(envisioned(network, seen.get(number), offset + length + 2))
        patches, rows, columns = patched(latent, network.patch_size)
        tokens = filled(network, network.x_embedder(patches.transpose(-1, -2).flatten(-2)), getattr(network, "x_pad_token", None))
        ids = grid_ids(offset + length + 1, torch.arange(rows), torch.arange(columns))
        images.append(Piece(tokens, pad(ids, (0, 0, 0, len(tokens) - len(ids))), zero))
        after = offset + length + 2
    for caption in captions[len(references) :]:
        texts.append(captioned(network, caption, after))
        after += len(caption)
    return texts, visions, images, offset


def captioned(network, caption: Tensor | None, offset: int, zero: bool = False) -> Piece:
    """A text's tokens before the refiner, padded, at (1 + offset + i, 0, 0), padding too."""
    if caption is None:
        tokens = network.cap_pad_token.expand(network.pad_tokens_multiple, -1)
    else:
        norm, linear = network.cap_embedder
        tokens = filled(network, linear(rms(caption, norm.weight, norm.eps)), getattr(network, "cap_pad_token", None))
    return Piece(tokens, grid_ids(torch.arange(len(tokens)) + offset + 1, torch.zeros(1), torch.zeros(1)), zero)


def envisioned(network, feature: Tensor | None, place: int) -> Piece:
    """Vision features [h, w, channels] before the refiner; ComfyUI reads them channels first without moving them back."""
    if feature is None:
        return Piece(network.siglip_pad_token.expand(network.pad_tokens_multiple, -1), torch.zeros(network.pad_tokens_multiple, 3), True)
    h, w, channels = feature.shape
    norm, linear = network.siglip_embedder
    u = feature.permute(2, 0, 1).reshape(h * w, channels)
    tokens = filled(network, linear(rms(u, norm.weight, norm.eps)), network.siglip_pad_token)
    ids = grid_ids(place, torch.linspace(0, h * 8 - 1, h).floor(), torch.linspace(0, w * 8 - 1, w).floor())
    return Piece(tokens, pad(ids, (0, 0, 0, len(tokens) - len(ids))), True)


def refined(network, layers, piece: Piece) -> Piece:
    """Tokens after refiner layers, which know no timestep."""
    for block in layers:
        piece = piece._replace(tokens=whole(lumina_parts(block), piece.tokens, table_of(network.rope_embedder, piece.ids)))
    return piece


def filled(network, tokens: Tensor, filler: Tensor | None) -> Tensor:
    """Tokens and as many fillers as make a multiple."""
    short = -len(tokens) % (network.pad_tokens_multiple or 1)
    return torch.cat((tokens, filler.expand(short, -1))) if short else tokens


def together(pieces: list) -> Piece:
    """Pieces one after the other; `zero` becomes 0 or 1 per token."""
    zero = torch.cat([torch.as_tensor(piece.zero).long().expand(len(piece.ids)) for piece in pieces])
    return Piece(torch.cat([piece.tokens for piece in pieces]), torch.cat([piece.ids for piece in pieces]), zero)


def streams(embedder, pieces: list, concept: Tensor, ids: Tensor, picture: slice, parts: Callable, modulation: Callable) -> SimpleNamespace:
    """Both streams with their rotary tables."""
    joint = together(pieces)
    return SimpleNamespace(
        joint=joint.tokens,
        rotary=table_of(embedder, joint.ids),
        zero=joint.zero,
        concept=concept,
        concept_rotary=table_of(embedder, ids),
        picture=picture,
        parts=parts,
        modulation=modulation,
    )


def own_tokens(concepts, sequences: list) -> Tensor:
    """Each concept's own rows of its sequence, [T, width] in the order of token_weights' columns."""
    rows = torch.zeros(concepts.token_weights.shape[1], sequences[0].shape[-1], dtype=sequences[0].dtype)
    for weights, sequence, start in zip(concepts.token_weights, sequences, concepts.starts, strict=True):
        own = weights.nonzero()[:, 0]
        rows[own] = sequence[start : start + len(own)]
    return rows


def grid_ids(first: int | Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Ids [tokens, 3]: (first, row, column) for all rows and columns, row by row."""
    return torch.cartesian_prod(torch.as_tensor(first).reshape(-1).float(), rows.float(), columns.float())


def patched(latent: Tensor, p: int) -> tuple:
    """A latent, padded by wrapping around, as [rows · columns, channels, p · p], and rows and columns."""
    latent = latent[:, :, 0] if latent.ndim == 5 else latent
    rows, columns = -(-latent.shape[-2] // p), -(-latent.shape[-1] // p)
    latent = latent[0][:, torch.arange(rows * p) % latent.shape[-2]][:, :, torch.arange(columns * p) % latent.shape[-1]]
    patches = latent.unflatten(2, (columns, p)).unflatten(1, (rows, p)).permute(1, 3, 0, 2, 4)
    return patches.flatten(3).flatten(0, 1), rows, columns


def sinusoid(t: Tensor, dim: int, factor: float = 1000) -> Tensor:
    """[n, dim] cosines, then sines; in float32 as ComfyUI computes them whatever the network's dtype."""
    rates = torch.exp(-math.log(10000) * torch.arange(dim // 2, dtype=torch.float32) / (dim // 2))
    angles = (factor * t).float()[:, None] * rates
    return torch.cat((angles.cos(), angles.sin()), -1).double()
