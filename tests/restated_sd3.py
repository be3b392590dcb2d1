"""Concept scores of ComfyUI's MMDiT restated in float64, as a plain reading of the method on the blocks' own modules."""

import copy

import torch
from concept_attention.concept_core.recording.scores import CROSS_SHARE
from oracle import SHARE, softmax_attention


@torch.no_grad()
def restated(model, x, context, pooled, concepts, sigma):
    """Scores of every block with a text output, in float64; the picture rows of one prompt only."""
    net = copy.deepcopy(model.model.diffusion_model).double()
    img = net.x_embedder(x.double()) + net.cropped_pos_embed(x.shape[-2:]).double()
    vec = net.t_embedder(torch.tensor([1000 * sigma]).double(), dtype=torch.float64) + net.y_embedder(pooled.double())
    txt, con = net.context_embedder(context.double()), net.context_embedder(concepts.double())
    scores, share = [], SHARE.double()
    for block in net.joint_blocks[:-1]:
        text, image = block.context_block, block.x_block
        txt_mod, img_mod = modulation(text, vec), modulation(image, vec)
        cq, ck, cv = heads(text.attn, layer_norm(con), txt_mod)
        tq, tk, tv = heads(text.attn, layer_norm(txt), txt_mod)
        iq, ik, iv = heads(image.attn, layer_norm(img), img_mod)
        joined = softmax_attention(torch.cat((tq, iq), 2), torch.cat((tk, ik), 2), torch.cat((tv, iv), 2))
        txt_out, img_out = joined[:, : txt.shape[1]], joined[:, txt.shape[1] :]
        con_out = softmax_attention(cq, torch.cat((ck, ik), 2), torch.cat((cv, iv), 2))
        crossed = torch.einsum("ct,bhtd,bhnd->bhcn", share, ck, iq)
        scores.append(
            {
                "output": torch.einsum("ct,btd,bnd->bcn", share, con_out / con_out.norm(dim=-1, keepdim=True), img_out),
                "cross-attention": crossed.mean(1),
                CROSS_SHARE: crossed.softmax(2).mean(1),
                "value": torch.einsum("ct,bhtd,bhnd->bcn", share, cv, iv),
            }
        )
        extra = 0
        if len(img_mod) == 9:  # a second attention, from image to image only
            shift, scale, gate = img_mod[6:]
            q, k, v = heads(image.attn2, layer_norm(img), (shift, scale))
            extra = gate * image.attn2.proj(softmax_attention(q, k, v))
        con = update(text, con, con_out, txt_mod)
        txt = update(text, txt, txt_out, txt_mod)
        img = update(image, img, img_out, img_mod, extra)
    return {space: torch.stack([s[space] for s in scores]) for space in scores[0]}


def modulation(block, vec):
    return block.adaLN_modulation(vec)[:, None].chunk(9 if block.x_block_self_attn else 6, dim=-1)


def layer_norm(x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-6)


def heads(attn, x, mod):
    """Queries, keys and values [B, heads, N, 64]."""
    qkv = attn.qkv(x * (1 + mod[1]) + mod[0])
    q, k, v = qkv.reshape(*qkv.shape[:2], 3, -1, 64).permute(2, 0, 3, 1, 4)
    if isinstance(attn.ln_q, torch.nn.Identity):
        return q, k, v
    return rms_norm(q, attn.ln_q.weight), rms_norm(k, attn.ln_k.weight), v


def rms_norm(x, weight):
    return weight * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def update(block, tokens, out, mod, extra=0):
    tokens = tokens + mod[2] * block.attn.proj(out) + extra
    return tokens + mod[5] * block.mlp(layer_norm(tokens) * (1 + mod[4]) + mod[3])
