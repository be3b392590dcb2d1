"""Concept scores of ComfyUI's CogVideoX, HunyuanVideo and Wan restated in float64; tokens go frame by frame, then row by row."""

import copy
import math
from types import SimpleNamespace

import torch
from restated import as_added, flux_sides, refined_concepts, time_vector
from restated import one_block as one_double_block
from restated_cosmos import angles
from restated_single import Parts, attention, grid_ids, heads, one_block, patched, rotated, sinusoid
from restated_unet import projected
from torch import Tensor
from torch.nn.functional import gelu, pad, silu


@torch.no_grad()
def restated(family: str, model, x: Tensor, context: Tensor, options: dict, concepts, sigma: float) -> dict:
    """space → scores [blocks, 1, C, N] in float64. x [1, channels, frames, rows, columns]: a clip and what ComfyUI joins to it."""
    of_blocks = {"cogvideox": cogvideox, "hunyuan-video": hunyuan, "wan": wan}[family.removesuffix("-1.5")]
    network = copy.deepcopy(model.model.diffusion_model).double()
    t = model.model.model_sampling.timestep(torch.tensor([sigma])).float().double()
    blocks = of_blocks(network, x.double(), context.double(), options, concepts, t)
    return {space: torch.stack([block[space] for block in blocks])[:, None] for space in blocks[0]}


def cogvideox(network, x: Tensor, context: Tensor, options: dict, concepts, t: Tensor) -> list:
    """Each block's space → [C, N]. The prompt comes before the clip and has no position, nor have concepts."""
    if not network.use_rotary_positional_embeddings or network.ofs_embedding_linear_1 is not None:
        raise ValueError("Added positions and the embedding of an offset are not restated.")
    patches, ids = clip_patches(x, network.patch_size_t or 1, network.patch_size)
    if network.patch_size_t is None:
        ids = ids * torch.tensor([1, network.spatial_interpolation_scale, network.spatial_interpolation_scale])
    embed, d = network.patch_embed, network.attention_head_dim
    text, image, concept = embed.text_proj(context[0]), projected(embed.proj, patches), embed.text_proj(concepts.embeddings.double())
    time = network.time_embedding_linear_2(silu(network.time_embedding_linear_1(sinusoid(t, network.time_proj_dim, 1))))
    start = SimpleNamespace(
        joint=torch.cat((text, image)),
        rotary=torch.cat((unturned(len(text), d), turned(ids, (d // 4, d // 8 * 3, d // 8 * 3)))),
        zero=torch.arange(len(text) + len(image)).ge(len(text)).long(),  # the clip has the second row of each modulation
        concept=concept,
        concept_rotary=unturned(len(concept), d),
        picture=slice(len(text), len(text) + len(image)),
    )
    weights = concepts.token_weights.double()
    return [one_block(start, cogvideox_parts(block), cogvideox_modulation(block, time), weights, turned=True) for block in network.blocks]


def cogvideox_parts(block) -> Parts:
    """m: shift, scale, gate, twice."""

    def qkv(n):
        q, k, v = (heads(linear(n), block.num_heads) for linear in (block.q, block.k, block.v))
        return block.norm_q(q), block.norm_k(k), v

    def leave(u, n, o, m):
        u = u + m[2] * block.attn_out(o)
        n = block.norm2.norm(u) * (1 + m[4]) + m[3]
        return u + m[5] * block.ff_out(gelu(block.ff_proj(n), approximate="tanh"))

    return Parts(lambda u, m: block.norm1.norm(u) * (1 + m[1]) + m[0], qkv, leave, (0, 0, 1, 0, 0, 1))


def cogvideox_modulation(block, time: Tensor) -> tuple:
    """Shift, scale, gate, twice, each [2, D]: the text's, and the clip's, which the linear layer gives first."""
    halves = [norm.linear(silu(time)).unflatten(1, (2, 3, -1))[0] for norm in (block.norm1, block.norm2)]
    return torch.cat(halves, 1).flip(0).unbind(1)


def hunyuan(network, x: Tensor, context: Tensor, options: dict, concepts, t: Tensor) -> list:
    """Each double block's space → [C, N]. ComfyUI joins zeros to a clip of 1.5 that begins with no picture."""
    if network.time_r_in is not None:
        raise ValueError("A second timestep is not restated.")
    sizes = network.patch_size[:2]
    patches, ids = clip_patches(pad(x, (0,) * 7 + (network.in_channels - x.shape[1],)), *sizes)
    picture = len(ids)
    if "ref_latent" in options:  # before the clip and to its right; ComfyUI has its tokens first
        more, places = clip_patches(options["ref_latent"].double(), *sizes)
        places = places * torch.tensor([0, 1, 1]) + torch.tensor([-1, 0, x.shape[-1] // sizes[1]])
        patches, ids = torch.cat((patches, more)), torch.cat((ids, places))
    mask = as_added(options.get("attention_mask"))
    text, concept = hunyuan_text(network, context, options, t, mask), hunyuan_kind(network, 0, refined_concepts(network, concepts, t))
    vectors, rows = hunyuan_vectors(network, options, t), torch.zeros(len(ids), dtype=torch.long)
    if "guiding_frame_index" in options:
        rows[ids[:, 0] == 0] = 2
    image, text, concept = (
        SimpleNamespace(tokens=tokens, rotary=network.pe_embedder(places[None]).double())
        for tokens, places in (
            (projected(network.img_in.proj, patches)[None], ids),
            (text, torch.zeros(text.shape[1], 3)),
            (concept, torch.zeros(concept.shape[1], 3)),
        )
    )
    start = SimpleNamespace(picture=picture, image=image, text=text, concept=concept, text_mask=mask)
    weights = concepts.token_weights.double()
    return [
        one_double_block(
            start, *flux_sides(block), block.img_mod.lin(silu(vectors))[rows], block.txt_mod.lin(silu(vectors[[1, 0]])), weights
        )
        for block in network.double_blocks
    ]


def hunyuan_vectors(network, options: dict, t: Tensor) -> Tensor:
    """[3, D]: of the prompt and the clip, of the concepts, for which the pooled prompt is zeros, and of a first frame that is given."""
    guided = options.get("guiding_frame_index", t)
    vectors = time_vector("hunyuan-video", network, torch.cat((t, t, guided)), options)
    if network.vector_in is None:
        return vectors
    y = options["y"].double()
    return vectors + network.vector_in(torch.cat((y, 0 * y, y)))


def hunyuan_text(network, context: Tensor, options: dict, t: Tensor, mask: Tensor | None) -> Tensor:
    """[1, tokens, D] of the prompt, of letters in it and of a picture that the clip begins with."""
    parts = [hunyuan_kind(network, 0, network.txt_in(context, t, mask))]
    if "txt_byt5" in options:
        parts.append(hunyuan_kind(network, 1, network.byt5_in(options["txt_byt5"].double())))
    if "clip_fea" in options:
        parts.append(hunyuan_kind(network, 2, network.vision_in(options["clip_fea"].double())))
    return torch.cat(parts, 1)


def hunyuan_kind(network, kind: int, tokens: Tensor) -> Tensor:
    """Tokens and, in 1.5, the embedding of their kind."""
    return tokens if network.cond_type_embedding is None else tokens + network.cond_type_embedding.weight[kind]


def wan(network, x: Tensor, context: Tensor, options: dict, concepts, t: Tensor) -> list:
    """Each block's space → [C, N]. Queries of the cross-attention and keys of concepts have no position."""
    text, concept = (network.text_embedding(tokens) for tokens in (context[0], concepts.embeddings.double()))
    seen = network.img_emb(options["clip_fea"].double()[0]) if "clip_fea" in options else None
    time = network.time_projection(network.time_embedding(wan_sinusoid(t, network.freq_dim))).unflatten(1, (6, -1))[0]
    u, rotary, picture = wan_tokens(network, x, options)
    given = time, rotary, text, seen
    scores, beside, first = [], vace_streams(network, options), u
    for index, block in enumerate(network.blocks):
        u, q = wan_block(block, u, *given)
        attn = block.cross_attn
        k_c = concepts.token_weights.double() @ heads(attn.norm_k(attn.k(concept)), attn.num_heads)
        s = k_c @ q[:, :picture].transpose(-1, -2) / math.sqrt(q.shape[-1])
        scores.append({"cross-attention": s.mean(0), "cross-attention, softmax per head": s.softmax(1).mean(0)})
        if beside and index in network.vace_layers_mapping:
            block = network.vace_blocks[network.vace_layers_mapping[index]]
            beside = [wan_block(block, c if index else block.before_proj(c) + first, *given)[0] for c in beside]
            u = u + sum(strength * block.after_proj(c) for strength, c in zip(options["vace_strength"], beside, strict=True))
    return scores


def wan_tokens(network, x: Tensor, options: dict) -> tuple:
    """Tokens [all, D] of the clip and of what is beside it, their rotary matrices, and how many are the clip's."""
    sizes, d = network.patch_size[:2], network.dim // network.num_heads
    widths = d - 4 * (d // 6), 2 * (d // 6), 2 * (d // 6)
    patches, ids = clip_patches(x, *sizes)
    picture, places = len(ids), [turned(ids, widths)]
    tokens = [projected(network.patch_embedding, patches)]
    if "time_dim_concat" in options:  # frames after the last
        patches, more = clip_patches(options["time_dim_concat"].double(), *sizes)
        tokens.append(projected(network.patch_embedding, patches))
        places.append(turned(more + torch.tensor([x.shape[2], 0, 0]), widths))
    if "reference_latent" in options and network.ref_conv is not None:  # a frame before the first; ComfyUI has its tokens first
        patches, more = clip_patches(options["reference_latent"].double()[:, :, None], *sizes)
        tokens.append(projected(network.ref_conv, patches))
        places = [turned(ids + torch.tensor([1, 0, 0]), widths), *places[1:], turned(more, widths)]
    for number, latent in enumerate(options.get("context_latents", ()), 1):  # turned once more by their number
        patches, more = clip_patches(latent.double(), *sizes)
        tokens.append(projected(network.patch_embedding, patches))
        places.append(turned(more, widths) @ turned(torch.tensor([[float(number)]]), (d,)))
    return torch.cat(tokens), torch.cat(places), picture


def vace_streams(network, options: dict) -> list:
    """Tokens [N, D] of each clip that VACE's own blocks follow."""
    clips = options["vace_context"].double().unbind(1) if "vace_context" in options else ()
    return [projected(network.vace_patch_embedding, clip_patches(clip, *network.patch_size[:2])[0]) for clip in clips]


def wan_block(block, u: Tensor, time: Tensor, rotary: Tensor, text: Tensor, seen: Tensor | None) -> tuple:
    """u [N, D] after a block, and its cross-attention's queries [heads, N, d]. seen: tokens of a picture, attended to apart."""
    m = block.modulation[0] + time
    attn, n = block.self_attn, block.norm1(u) * (1 + m[1]) + m[0]
    q, k, v = (heads(part, attn.num_heads) for part in (attn.norm_q(attn.q(n)), attn.norm_k(attn.k(n)), attn.v(n)))
    u = u + m[2] * attn.o(attention(rotated(q, rotary), rotated(k, rotary), v))

    attn = block.cross_attn
    q, k, v = (heads(part, attn.num_heads) for part in (attn.norm_q(attn.q(block.norm3(u))), attn.norm_k(attn.k(text)), attn.v(text)))
    o = attention(q, k, v)
    if seen is not None:
        o = o + attention(q, *(heads(part, attn.num_heads) for part in (attn.norm_k_img(attn.k_img(seen)), attn.v_img(seen))))
    u = u + attn.o(o)
    return u + m[5] * block.ffn(block.norm2(u) * (1 + m[4]) + m[3]), q


def wan_sinusoid(t: Tensor, dim: int) -> Tensor:
    """As `sinusoid`, with rates that Wan rounds to float32 in another way."""
    wave = t.float()[:, None] * torch.pow(10000, -torch.arange(dim // 2, dtype=torch.float32) / (dim // 2))
    return torch.cat((wave.cos(), wave.sin()), -1).double()


def clip_patches(x: Tensor, frames: int, p: int) -> tuple:
    """A clip, padded by wrapping around, as tokens [N, channels · frames · p · p], and their (frame, row, column) [N, 3]."""
    x = x[0][:, torch.arange(-(-x.shape[2] // frames) * frames) % x.shape[2]]
    parts = [patched(part.flatten(0, 1)[None], p) for part in x.unflatten(1, (-1, frames)).unbind(1)]
    _, rows, columns = parts[0]
    return torch.cat([patches.flatten(1) for patches, _, _ in parts]), grid_ids(*(torch.arange(n) for n in (len(parts), rows, columns)))


def turned(ids: Tensor, widths: tuple) -> Tensor:
    """Rotary matrices [tokens, d / 2, 2, 2] of ids [tokens, 3], each axis with its part of the d = sum(widths)."""
    a = torch.cat([angles(places, width) for places, width in zip(ids.T, widths, strict=True)], -1)
    return torch.stack((a.cos(), -a.sin(), a.sin(), a.cos()), -1).unflatten(-1, (2, 2))


def unturned(tokens: int, d: int) -> Tensor:
    """Rotary matrices of tokens without position."""
    return torch.eye(2, dtype=torch.float64).expand(tokens, d // 2, 2, 2)
