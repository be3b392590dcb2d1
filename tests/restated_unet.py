"""Concept scores of ComfyUI's U-Nets restated in float64: how a concept's key answers the queries of each cross-attention.

`restated` gives the scores of each space. `passed` gives the network's prediction as well, for checks against ComfyUI's own network.
"""

import copy
import math
from collections import namedtuple

import torch
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, ResBlock, Upsample
from restated_single import attention, heads, sinusoid
from torch import Tensor
from torch.nn.functional import interpolate, linear

Passed = namedtuple("Passed", "scores prediction")


@torch.no_grad()
def restated(family: str, model, x: Tensor, context: Tensor, options: dict, concepts, sigma: float) -> dict:
    """space → scores [blocks, B, C, N] in float64, on the grid of the finest cross-attention."""
    return passed(family, model, x, context, options, concepts, sigma).scores


@torch.no_grad()
def passed(family: str, model, x: Tensor, context: Tensor, options: dict, concepts, sigma: float) -> Passed:
    """The scores and what the network gives out [B, channels, rows, columns]."""
    if family not in ("sd15", "sd2", "sdxl"):
        raise ValueError(family)
    network = copy.deepcopy(model.model.diffusion_model).double()
    t = model.model.model_sampling.timestep(torch.tensor([sigma])).float()
    emb = network.time_embed(sinusoid(t, network.model_channels, 1))
    if network.num_classes is not None:
        emb = emb + network.label_emb(options["y"].double())
    given = emb, context.double(), concepts
    u, skips, blocks = x.double() / math.sqrt(sigma**2 + 1), [], []
    for modules in network.input_blocks:
        u, heard = through(modules, u, None, *given)
        skips.append(u)
        blocks += heard
    u, _ = through(network.middle_block, u, None, *given)
    for modules in network.output_blocks:
        u = torch.cat((u, skips.pop()), 1)
        u, heard = through(modules, u, skips[-1].shape if skips else None, *given)
        blocks += heard
    p = finest(network)
    sides = [-(-side // p) for side in x.shape[-2:]]
    spaces = {
        "cross-attention": lambda s: s.mean(1),
        "cross-attention, softmax per head": lambda s: s.softmax(2).mean(1),
    }
    scores = {space: torch.stack([pictured(layers, mean, sides) for layers in blocks]) for space, mean in spaces.items()}
    return Passed(scores, network.out(u))


def pictured(layers: list, mean, sides: list) -> Tensor:
    """One block's score [B, C, N]. layers: [B, heads, C, rows, columns] each; mean: what makes [B, C, rows, columns] of one."""
    maps = [interpolate(mean(layer), sides, mode="bilinear", align_corners=False) for layer in layers]
    return torch.stack(maps).mean(0).flatten(2)


def through(modules, u: Tensor, shape: tuple | None, emb: Tensor, context: Tensor, concepts) -> tuple:
    """u after one of input_blocks, output_blocks or the middle, and each of its transformers' layers. shape: that an Upsample makes."""
    heard = []
    for module in modules:
        if isinstance(module, SpatialTransformer):
            u, layers = transformed(module, u, context, concepts)
            heard.append(layers)
        elif isinstance(module, ResBlock):
            u = module(u, emb)
        elif isinstance(module, Upsample):
            u = module(u, shape)
        else:
            u = module(u)
    return u, heard


def transformed(module, u: Tensor, context: Tensor, concepts) -> tuple:
    """u [B, channels, rows, columns] after a SpatialTransformer, and its layers' scores [B, heads, C, rows, columns]."""
    grid, layers = u.shape[2:], []
    v = projected(module.proj_in, module.norm(u).flatten(2).transpose(1, 2))
    for block in module.transformer_blocks:
        n = block.norm1(v)
        v = v + attended(block.attn1, n, n)
        n = block.norm2(v)
        layers.append(scored(block.attn2, n, concepts).unflatten(-1, grid))
        v = v + attended(block.attn2, n, context)
        v = v + block.ff(block.norm3(v))
    return u + projected(module.proj_out, v).transpose(1, 2).unflatten(2, grid), layers


def scored(attn, n: Tensor, concepts) -> Tensor:
    """Scores [B, heads, C, N] of the concepts' mean keys."""
    q, k = heads(attn.to_q(n), attn.heads), heads(attn.to_k(concepts.embeddings.double()), attn.heads)
    k_c = concepts.token_weights.double() @ k
    return k_c @ q.transpose(-1, -2) / math.sqrt(q.shape[-1])


def attended(attn, n: Tensor, context: Tensor) -> Tensor:
    """ComfyUI's CrossAttention, which may round to float32, without that."""
    q, k, v = (heads(part, attn.heads) for part in (attn.to_q(n), attn.to_k(context), attn.to_v(context)))
    return attn.to_out(attention(q, k, v))


def projected(module, u: Tensor) -> Tensor:
    """A linear layer or a convolution of one pixel, of tokens [B, N, channels]."""
    return linear(u, module.weight.flatten(1), module.bias)


def finest(network) -> int:
    """Latent pixels across a pixel of the first transformer."""
    first = next(i for i, modules in enumerate(network.input_blocks) if any(isinstance(module, SpatialTransformer) for module in modules))
    return 2 ** sum(isinstance(module, Downsample) for modules in network.input_blocks[:first] for module in modules)
