"""ConceptAttention restated in float64 for six ComfyUI families: the joint blocks' forward written out from their linear layers and norms.

`restated` gives the scores of each space. `passed` gives the streams as well, for checks against ComfyUI's own network.
"""

import copy
import math
from collections import namedtuple
from collections.abc import Callable
from types import SimpleNamespace

import torch
from restated_single import flux_parts
from restated_single import one_block as one_shared_block
from torch import Tensor
from torch.nn.functional import pad, silu

CONCEPT_AXES = {"flux2": (3,), "ovis": (1, 2), "longcat": (1, 2), "qwen-image": (0, 1, 2), "chroma": (), "hunyuan-image": ()}
Side = namedtuple("Side", "norm1 qkv proj norm2 mlp")  # one stream's modules in one block; qkv: u → q, k, v [1, heads, tokens, d]
Passed = namedtuple("Passed", "scores image text concept")  # the last three: [1, tokens, D] after the last block


@torch.no_grad()
def restated(family: str, model, x: Tensor, context: Tensor, options: dict, concepts, sigma: float, singles=False) -> dict:
    """space → scores [blocks, 1, C, N] in float64, of the picture's own N tokens. singles: of Flux.2's single blocks too."""
    return passed(family, model, x, context, options, concepts, sigma, singles).scores


@torch.no_grad()
def passed(family: str, model, x: Tensor, context: Tensor, options: dict, concepts, sigma: float, singles=False) -> Passed:
    """The scores and the last states of all streams."""
    network = copy.deepcopy(model.model.diffusion_model).double()
    t = model.model.model_sampling.timestep(torch.tensor([sigma])).float().double()
    start = begin(family, network, x.double(), context.double(), options, concepts, t)
    blocks = network.transformer_blocks if family == "qwen-image" else network.double_blocks
    sides = qwen_sides if family == "qwen-image" else flux_sides
    per_block = []
    for index, block in enumerate(blocks):
        per_block.append(one_block(start, *sides(block), *start.modulations(block, index), concepts.token_weights.double()))
    kept = per_block[:-1] if family == "qwen-image" else per_block
    if singles:
        kept += single_blocks(network, start, concepts.token_weights.double())
    scores = {space: torch.stack([block[space] for block in kept])[:, None] for space in kept[0]}
    return Passed(scores, start.image.tokens, start.text.tokens, start.concept.tokens)


def one_block(start: SimpleNamespace, image: Side, text: Side, image_modulation: Tensor, text_modulation: Tensor, weights: Tensor) -> dict:
    """One joint block: updates the three streams, returns space → [C, N]. A second row of text_modulation is the prompt's alone."""
    n = start.picture
    m_image = per_token(image_modulation, n, start.image.tokens.shape[1])
    m_text, m_concept = per_token(text_modulation[-1:], 1, 1), per_token(text_modulation[:1], 1, 1)
    q_x, k_x, v_x = image.qkv(modulated(image.norm1(start.image.tokens), m_image[:3]))
    q_p, k_p, v_p = text.qkv(modulated(text.norm1(start.text.tokens), m_text[:3]))
    q_c, k_c, v_c = text.qkv(modulated(text.norm1(start.concept.tokens), m_concept[:3]))

    r_x, r_p, r_c = start.image.rotary, start.text.rotary, start.concept.rotary
    keys, values = torch.cat((rotated(k_p, r_p), rotated(k_x, r_x)), 2), torch.cat((v_p, v_x), 2)
    mask = None if start.text_mask is None else pad(start.text_mask, (0, keys.shape[2] - start.text_mask.shape[-1]))
    o_p = attention(rotated(q_p, r_p), keys, values, mask)
    o_x = attention(rotated(q_x, r_x), keys, values, mask)
    near, near_values = torch.cat((rotated(k_c, r_c), rotated(k_x, r_x)[:, :, :n]), 2), torch.cat((v_c, v_x[:, :, :n]), 2)
    o_c = attention(rotated(q_c, r_c), near, near_values)

    start.image.tokens = continued(start.image.tokens, o_x, image, m_image)
    start.text.tokens = continued(start.text.tokens, o_p, text, m_text)
    start.concept.tokens = continued(start.concept.tokens, o_c, text, m_concept)
    per_head = torch.einsum("ct,htd,hnd->hcn", weights, k_c[0], q_x[0, :, :n])
    return {
        "output": weights @ o_c[0] @ o_x[0, :n].T,
        "cross-attention": per_head.mean(0),
        "cross-attention, softmax per head": per_head.softmax(1).mean(0),
        "value": weights @ joined(v_c)[0] @ joined(v_x)[0, :n].T,
    }


def single_blocks(network, start: SimpleNamespace, weights: Tensor) -> list:
    """Space → [C, N] of each of Flux.2's single blocks, in which the prompt goes before the image; timestep zero is of references alone."""
    tokens, rotary = (
        torch.cat([getattr(side, name) for side in (start.text, start.image)], axis) for name, axis in (("tokens", 1), ("rotary", 2))
    )
    text = start.text.tokens.shape[1]
    picture = slice(text, text + start.picture)
    shared = SimpleNamespace(
        joint=tokens[0],
        rotary=rotary[0, 0],
        zero=(torch.arange(tokens.shape[1]) >= picture.stop).long() * (len(start.vector) - 1),
        concept=start.concept.tokens[0],
        concept_rotary=start.concept.rotary[0, 0],
        picture=picture,
    )
    modulation = network.single_stream_modulation.lin(silu(start.vector)).chunk(3, -1)
    return [one_shared_block(shared, flux_parts(block), modulation, weights) for block in network.single_blocks]


def per_token(modulation: Tensor, first: int, tokens: int) -> tuple:
    """[1 or 2 rows, 6 D] → shift, scale, gate, twice, [1, 1 or tokens, D]: row 0 for the `first` tokens, row 1 for the rest."""
    if len(modulation) == 2:
        modulation = torch.cat((modulation[:1].expand(first, -1), modulation[1:].expand(tokens - first, -1)))
    return modulation[None].chunk(6, dim=-1)


def modulated(u: Tensor, modulation: tuple) -> Tensor:
    """(1 + scale) · u + shift"""
    shift, scale, _ = modulation
    return (1 + scale) * u + shift


def continued(tokens: Tensor, output: Tensor, side: Side, modulation: tuple) -> Tensor:
    """A stream after its attention: output projection and MLP, each gated."""
    tokens = tokens + modulation[2] * side.proj(output)
    return tokens + modulation[5] * side.mlp(modulated(side.norm2(tokens), modulation[3:]))


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d + mask) v with heads joined: [1, queries, D]."""
    logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return joined((logits if mask is None else logits + mask).softmax(-1) @ v)


def joined(heads: Tensor) -> Tensor:
    """[1, heads, tokens, d] → [1, tokens, heads · d]"""
    return heads.transpose(1, 2).flatten(2)


def rotated(u: Tensor, table: Tensor) -> Tensor:
    """Each pair (u₂ᵢ, u₂ᵢ₊₁) times its 2x2 matrix."""
    return torch.einsum("bhnpij,bhnpj->bhnpi", table.expand(-1, u.shape[1], *[-1] * 4), u.unflatten(-1, (-1, 2))).flatten(-2)


def flux_sides(block) -> tuple:
    """Image's and text's modules of a Flux double block (Flux, Chroma, Hunyuan)."""

    def side(name):
        attn = getattr(block, f"{name}_attn")

        def qkv(u):
            q, k, v = attn.qkv(u).unflatten(-1, (3, block.num_heads, -1)).permute(2, 0, 3, 1, 4)
            return attn.norm.query_norm(q), attn.norm.key_norm(k), v

        return Side(getattr(block, f"{name}_norm1"), qkv, attn.proj, getattr(block, f"{name}_norm2"), getattr(block, f"{name}_mlp"))

    return side("img"), side("txt")


def qwen_sides(block) -> tuple:
    """Image's and text's modules of a Qwen-Image block."""
    attn = block.attn

    def heads(u):
        return u.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

    def image(u):
        return attn.norm_q(heads(attn.to_q(u))), attn.norm_k(heads(attn.to_k(u))), heads(attn.to_v(u))

    def text(u):
        return attn.norm_added_q(heads(attn.add_q_proj(u))), attn.norm_added_k(heads(attn.add_k_proj(u))), heads(attn.add_v_proj(u))

    return (
        Side(block.img_norm1, image, attn.to_out[0], block.img_norm2, block.img_mlp),
        Side(block.txt_norm1, text, attn.to_add_out, block.txt_norm2, block.txt_mlp),
    )


def begin(family: str, network, x: Tensor, context: Tensor, options: dict, concepts, t: Tensor) -> SimpleNamespace:
    """Each stream's tokens [1, tokens, D] and rotary table, the number of the picture's tokens, modulations, the text's mask."""
    owner = network if family == "qwen-image" else network.params
    how = options.get("ref_latents_method", getattr(owner, "default_ref_method", ""))
    patches, ids, picture = image_tokens(family, network, x, context.shape[1], options.get("ref_latents") or (), how)
    times = torch.cat((t, 0 * t)) if how == "index_timestep_zero" and len(patches) > picture else t
    image = network.img_in(x) if family == "hunyuan-image" else network.img_in(patches[None])
    text, concept, mask = text_tokens(family, network, context, options, concepts, t)
    axes = len(network.pe_embedder.axes_dim)
    first = max(n // 2 for n in grid(x, 2)) if family == "qwen-image" else 0
    text_ids = placed(torch.arange(text.shape[1]) + first, axes, CONCEPT_AXES[family])
    concept_ids = placed(torch.as_tensor(concepts.positions) + first, axes, CONCEPT_AXES[family])
    image, text, concept = (
        SimpleNamespace(tokens=tokens, rotary=network.pe_embedder(places[None]).double())
        for tokens, places in ((image, ids), (text, text_ids), (concept, concept_ids))
    )
    vector = None if family in ("chroma", "qwen-image") else time_vector(family, network, times, options)
    modulation = modulations(family, network, times, image.tokens, options, vector)
    return SimpleNamespace(picture=picture, image=image, text=text, concept=concept, modulations=modulation, text_mask=mask, vector=vector)


def placed(positions: Tensor, axes: int, where: tuple) -> Tensor:
    """Ids [tokens, axes], zero but for the axes named."""
    return torch.stack([positions.float() if axis in where else torch.zeros(len(positions)) for axis in range(axes)], -1)


def text_tokens(family: str, network, context: Tensor, options: dict, concepts, t: Tensor) -> tuple:
    """The prompt's and the concepts' tokens before the first block, and the mask over the prompt's."""
    mask = options.get("attention_mask")
    if mask is not None and family not in ("qwen-image", "hunyuan-image"):
        raise ValueError(f"{family}: a mask is not restated.")
    mask = as_added(mask)
    if family == "hunyuan-image":
        text = network.txt_in(context, t, mask)
        if options.get("txt_byt5") is not None:
            text = torch.cat((text, network.byt5_in(options["txt_byt5"].double())), 1)
        return text, refined_concepts(network, concepts, t), mask
    norm = getattr(network, "txt_norm", None) or (lambda u: u)
    return network.txt_in(norm(context)), network.txt_in(norm(concepts.embeddings.double()[None])), mask


def as_added(mask: Tensor | None) -> Tensor | None:
    """A mask of ones and zeros as what is added to logits."""
    return mask if mask is None or mask.is_floating_point() else (mask - 1).double() * torch.finfo(torch.float64).max


def refined_concepts(network, concepts, t: Tensor) -> Tensor:
    """Hunyuan: each concept's whole text through the token refiner, alone; its own tokens cut out."""
    tokens = torch.zeros(1, len(concepts.positions), network.hidden_size, dtype=torch.float64)
    for weights, sequence, start in zip(concepts.token_weights, concepts.sequences, concepts.starts, strict=True):
        own = weights.nonzero()[:, 0]
        tokens[:, own] = network.txt_in(sequence.double()[None], t, None)[:, start : start + len(own)]
    return tokens


def image_tokens(family: str, network, x: Tensor, text_length: int, references: list, how: str) -> tuple:
    """Patches [tokens, channels · p²] and ids [tokens, axes] of the picture and then of the reference latents; the picture's number."""
    p = network.patch_size[-1] if family == "hunyuan-image" else network.patch_size
    if references and family in ("chroma", "hunyuan-image"):
        raise ValueError(f"{family} takes no reference latents.")
    axes = len(network.pe_embedder.axes_dim)
    scale = getattr(getattr(network, "params", None), "ref_index_scale", 1)
    places = [(0, 0, 0), *reference_places(family, how, scale, [n * p for n in grid(x, p)], [r.shape[-2:] for r in references])]
    latents = [x, *(r.double() for r in references)]
    ids = [image_ids(family, latent, p, axes, place, text_length) for latent, place in zip(latents, places, strict=True)]
    return torch.cat([patched(latent, p) for latent in latents]), torch.cat(ids), len(ids[0])


def reference_places(family: str, how: str, scale: float, picture: list, sizes: list) -> list:
    """(index, row, column) of each reference latent, the last two in latent pixels; `picture`: height and width, padded."""
    places, h, w = [], 0, 0
    for number, (height, width) in enumerate(sizes, 1):
        if how in ("index", "index_timestep_zero"):
            places.append((number * scale, 0, 0))
        elif how == "negative_index" and family == "qwen-image":
            places.append((-number, 0, 0))
        elif how == "uxo" and family != "qwen-image":
            places.append((0, picture[0] + h, picture[1] + w))
            h, w = h + height, w + width
        else:
            row, column = (0, w) if height + h > width + w else (h, 0)
            places.append((1, row, column))
            h, w = max(h, height + row), max(w, width + column)
    return places


def grid(latent: Tensor, p: int) -> tuple:
    """Rows and columns of tokens, of a latent that may need padding."""
    return -(-latent.shape[-2] // p), -(-latent.shape[-1] // p)


def patched(latent: Tensor, p: int) -> Tensor:
    """A latent, padded by wrapping around, as tokens [rows · columns, channels · p · p]."""
    latent = latent[:, :, 0] if latent.ndim == 5 else latent
    rows, columns = grid(latent, p)
    latent = latent[0][:, torch.arange(rows * p) % latent.shape[-2]][:, :, torch.arange(columns * p) % latent.shape[-1]]
    return latent.unflatten(2, (columns, p)).unflatten(1, (rows, p)).permute(1, 3, 0, 2, 4).flatten(2).flatten(0, 1)


def image_ids(family: str, latent: Tensor, p: int, axes: int, place: tuple, text_length: int) -> Tensor:
    """Ids [rows · columns, axes] of a latent's tokens."""
    rows, columns = grid(latent, p)
    index, row, column = place[0], (place[1] + p // 2) // p, (place[2] + p // 2) // p
    if family == "longcat":
        index, row, column = index + 1, row + text_length, column + text_length
    if family == "qwen-image":
        row, column = row - rows // 2, column - columns // 2
    ids = torch.zeros(rows, columns, axes)
    where = 0 if family == "hunyuan-image" else 1
    ids[..., 0] = index  # Hunyuan-Image has no such axis: rows overwrite it
    ids[..., where] = torch.arange(rows)[:, None] + row
    ids[..., where + 1] = torch.arange(columns) + column
    return ids.flatten(0, 1)


def time_vector(family: str, network, times: Tensor, options: dict) -> Tensor:
    """[times, D] of time and guidance."""
    guidance = options.get("guidance")
    vector = network.time_in(sinusoid(times, 256, 1 if family.startswith("hunyuan") else 1000))
    if network.params.guidance_embed and guidance is not None:
        vector = vector + network.guidance_in(sinusoid(guidance, 256))
    return vector


def modulations(family: str, network, times: Tensor, image: Tensor, options: dict, vector: Tensor | None) -> Callable:
    """(block, index) → the image's modulation, a second row for timestep zero, and the text's: always the timestep's own."""
    if family == "chroma":
        return chroma_modulations(network, times, options.get("guidance"))
    if family == "qwen-image":
        vector = network.time_text_embed(times, image, options.get("additional_t_cond"))
        return lambda block, index: (block.img_mod(vector), block.txt_mod(vector[:1]))
    if family == "flux2":
        image_mod, text_mod = network.double_stream_modulation_img, network.double_stream_modulation_txt
        return lambda block, index: (image_mod.lin(silu(vector)), text_mod.lin(silu(vector[:1])))
    return lambda block, index: (block.img_mod.lin(silu(vector)), block.txt_mod.lin(silu(vector[:1])))


def chroma_modulations(network, t: Tensor, guidance: Tensor) -> Callable:
    """The approximator's table: three rows a single block, then six a double block for the image, then six for the text."""
    entry = torch.cat((sinusoid(t, 16), sinusoid(guidance, 16)), 1).expand(344, -1)
    table = network.distilled_guidance_layer(torch.cat((entry, sinusoid(torch.arange(344), 32)), 1)[None])[0]
    singles, doubles = 3 * network.params.depth_single_blocks, 6 * network.params.depth
    sixes = table[singles : singles + 2 * doubles].reshape(2, network.params.depth, 1, -1)
    return lambda block, index: (sixes[0, index], sixes[1, index])


def sinusoid(t: Tensor, dim: int, factor: float = 1000) -> Tensor:
    """[n, dim] cosines, then sines; in float32 as ComfyUI computes them whatever the network's dtype."""
    rates = torch.exp(-math.log(10000) * torch.arange(dim // 2, dtype=torch.float32) / (dim // 2))
    angles = (factor * t).float()[:, None] * rates
    return torch.cat((angles.cos(), angles.sin()), -1).double()
