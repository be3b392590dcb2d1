"""Concept scores of ComfyUI's Flux restated in float64, as a plain reading of the method on the blocks' own modules."""

import copy
from types import SimpleNamespace

import torch
from comfy.ldm.flux.layers import timestep_embedding
from concept_attention.concept_core.recording.scores import CROSS_SHARE
from oracle import SHARE, softmax_attention
from restated_single import flux_parts, one_block
from torch.nn.functional import silu

GUIDANCE = 3.5


@torch.no_grad()
def restated(model, x, context, pooled, concepts, sigma):
    """Scores of every block, the single ones last, in float64, in the order of the paper's pseudo code; picture rows of one prompt only."""
    net = copy.deepcopy(model.model.diffusion_model).double()
    h, w = (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2
    img, img_ids = net.process_img(x.double())
    img, txt, con = net.img_in(img), net.txt_in(context.double()), net.txt_in(concepts.double())
    time = net.time_in(timestep_embedding(torch.tensor([sigma]).double(), 256)) + net.guidance_in(
        timestep_embedding(torch.tensor([GUIDANCE]).double(), 256)
    )
    vec, con_vec = time + net.vector_in(pooled.double()), time + net.vector_in(torch.zeros_like(pooled).double())
    pe = net.pe_embedder(torch.cat((torch.zeros(1, txt.shape[1], 3), img_ids[:1]), 1)).double()
    scores, share = [], SHARE.double()
    for block in net.double_blocks:
        con_mod, txt_mod, img_mod = block.txt_mod(con_vec), block.txt_mod(vec), block.img_mod(vec)

        def heads(attn, norm, tokens, mod):
            qkv = attn.qkv((1 + mod.scale) * norm(tokens) + mod.shift)
            q, k, v = qkv.reshape(*qkv.shape[:2], 3, net.num_heads, -1).permute(2, 0, 3, 1, 4)
            return attn.norm.query_norm(q), attn.norm.key_norm(k), v

        cq, ck, cv = heads(block.txt_attn, block.txt_norm1, con, con_mod[0])
        tq, tk, tv = heads(block.txt_attn, block.txt_norm1, txt, txt_mod[0])
        iq, ik, iv = heads(block.img_attn, block.img_norm1, img, img_mod[0])
        q, k = rotate(torch.cat((tq, iq), 2), pe), rotate(torch.cat((tk, ik), 2), pe)
        joined = softmax_attention(q, k, torch.cat((tv, iv), 2))
        txt_out, img_out = joined[:, : txt.shape[1]], joined[:, txt.shape[1] :]
        con_out = softmax_attention(cq, torch.cat((ck, k[:, :, txt.shape[1] :]), 2), torch.cat((cv, iv), 2))
        crossed = torch.einsum("ct,bhtd,bhnd->bhcn", share, ck, iq)
        scores.append(
            {
                "output": torch.einsum("ct,btd,bnd->bcn", share, con_out, img_out),
                "cross-attention": crossed.mean(1),
                CROSS_SHARE: crossed.softmax(2).mean(1),
                "value": torch.einsum("ct,bhtd,bhnd->bcn", share, cv, iv),
            }
        )
        con = update(block.txt_attn, block.txt_norm2, block.txt_mlp, con, con_out, con_mod)
        txt = update(block.txt_attn, block.txt_norm2, block.txt_mlp, txt, txt_out, txt_mod)
        img = update(block.img_attn, block.img_norm2, block.img_mlp, img, img_out, img_mod)
    assert img.shape[1] == h * w
    scores += of_single_blocks(net, txt[0], img[0], con[0], pe, torch.cat((con_vec, vec)), share)
    return {space: torch.stack([s[space] for s in scores]) for space in scores[0]}


def of_single_blocks(net, txt, img, con, pe, vectors, share):
    """Modulated by the first vector in the concepts' stream, by the second in the model's own."""
    turns_nothing = torch.eye(2).double().expand(len(con), pe.shape[3], 2, 2)
    joint, picture = torch.cat((txt, img)), slice(len(txt), len(txt) + len(img))
    own = torch.ones(len(joint), dtype=torch.long)
    start = SimpleNamespace(joint=joint, rotary=pe[0, 0], zero=own, concept=con, concept_rotary=turns_nothing, picture=picture)
    modulations = [block.modulation.lin(silu(vectors)).chunk(3, -1) for block in net.single_blocks]
    scores = [one_block(start, flux_parts(block), modulation, share) for block, modulation in zip(net.single_blocks, modulations)]
    return [{space: score[None] for space, score in one.items()} for one in scores]


def rotate(x, pe):
    pairs = x.unflatten(-1, (-1, 1, 2))
    return (pe[..., 0] * pairs[..., 0] + pe[..., 1] * pairs[..., 1]).flatten(-2)


def update(attn, norm, mlp, tokens, out, mod):
    tokens = tokens + mod[0].gate * attn.proj(out)
    return tokens + mod[1].gate * mlp((1 + mod[1].scale) * norm(tokens) + mod[1].shift)
