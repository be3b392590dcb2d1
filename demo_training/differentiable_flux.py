"""Flux with a concept stream as one differentiable function.

ComfyUI's blocks add in place, which autograd cannot follow; this calls the same sub-modules without.
"""

import torch
from comfy.ldm.flux.layers import timestep_embedding
from comfy.ldm.flux.model import Flux
from concept_attention.demo_model.flux import FLUX_FILE
from concept_attention.demo_model.text_encoders import POOLED_WIDTH, T5_WIDTH, load_flux_clip
from safetensors.torch import load_file, save_file
from torch.nn.functional import scaled_dot_product_attention as attention

FILE = FLUX_FILE
CONFIG = {
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": POOLED_WIDTH,
    "context_in_dim": T5_WIDTH,
    "hidden_size": 128,
    "mlp_ratio": 4.0,
    "num_heads": 1,
    "depth": 6,
    "depth_single_blocks": 2,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}
GUIDANCE = 3.5
SCORED_BLOCKS = 3


def load_clip(*prompt_length):
    return load_flux_clip(*prompt_length)


def new_model():
    model = Flux(dtype=torch.float32, operations=torch.nn, **CONFIG)
    return begun(model, lambda name: "mod.lin" in name or "modulation" in name or name.startswith("final_layer.linear"))


def begun(model, is_small):
    """The model with random matrices and no biases. is_small: by a parameter's name, whether it is to be a tenth of that."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            torch.nn.init.xavier_uniform_(parameter)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
        if is_small(name):
            parameter.data.mul_(0.1)
    return model


def save(weights, path):
    """Half precision, in the key names that Flux checkpoints are published in."""
    save_file({n.replace("_norm.weight", "_norm.scale"): w.half().contiguous() for n, w in weights.items()}, path)


def load(path):
    return {name.replace("_norm.scale", "_norm.weight"): w.float() for name, w in load_file(path).items()}


def flow_and_scores(model, latent, sigma, batch):
    """Velocity like `latent` [B, 16, H, W], and the output-space and cross-attention scores [B, C, N] of the last blocks.

    There are no scores where the batch has no concepts.
    """
    img, img_ids = model.process_img(latent)
    img = model.img_in(img)
    txt = model.txt_in(batch.context)
    time = model.time_in(timestep_embedding(sigma, 256)) + model.guidance_in(timestep_embedding(torch.full_like(sigma, GUIDANCE), 256))
    vec = time + model.vector_in(batch.pooled)
    txt_ids = torch.zeros(img_ids.shape[0], txt.shape[1], 3)
    rotations = model.pe_embedder(torch.cat((txt_ids, img_ids), 1)[:1])
    heads = model.num_heads
    stream = None
    if batch.concept_embeddings is not None:
        without_prompt = time + model.vector_in(torch.zeros_like(batch.pooled))
        concepts = model.txt_in(batch.concept_embeddings)
        stream = ConceptStream(concepts, without_prompt, heads, batch.token_weights, batch.concept_token_there, img.shape[1])
    for block in model.double_blocks:
        img_1, img_2 = block.img_mod(vec)
        txt_1, txt_2 = block.txt_mod(vec)
        image_query, ik, iv = qkv(block.img_attn, block.img_norm1(img), img_1, heads)
        tq, tk, tv = qkv(block.txt_attn, block.txt_norm1(txt), txt_1, heads)
        iq, ik = rotate(image_query, rotations[:, :, txt.shape[1] :]), rotate(ik, rotations[:, :, txt.shape[1] :])
        joint = attention(torch.cat((tq, iq), 2), torch.cat((tk, ik), 2), torch.cat((tv, iv), 2))
        txt_out, img_out = join(joint[:, :, : txt.shape[1]]), join(joint[:, :, txt.shape[1] :])
        if stream:
            stream.pass_block(block, image_query, ik, iv, img_out)
        img = add(img, block.img_attn, block.img_norm2, block.img_mlp, img_out, img_1, img_2)
        txt = add(txt, block.txt_attn, block.txt_norm2, block.txt_mlp, txt_out, txt_1, txt_2)
    x = torch.cat((txt, img), 1)
    for block in model.single_blocks:
        x = single(block, x, vec, rotations, heads)
    x = model.final_layer(x[:, txt.shape[1] :], vec)
    height, width = latent.shape[2] // 2, latent.shape[3] // 2
    x = x.unflatten(1, (height, width)).unflatten(3, (16, 2, 2)).permute(0, 3, 1, 4, 2, 5)
    scores, cross_scores = (stream.scores, stream.cross_scores) if stream else ([], [])
    return x.reshape(latent.shape).float(), scores[-SCORED_BLOCKS:], cross_scores[-SCORED_BLOCKS:]


class ConceptStream:
    """concepts: [B, T, width], of which `there` [B, T] tells which are no padding; token_weights: [B, C, T]."""

    def __init__(self, concepts, vec, heads, token_weights, there, image_tokens):
        self.concepts, self.vec, self.heads, self.token_weights = concepts, vec, heads, token_weights
        # Concept tokens that only pad the batch are keys for nobody.
        self.keys = torch.nn.functional.pad(there, (0, image_tokens), value=True)[:, None, None]
        self.scores, self.cross_scores = [], []

    def pass_block(self, block, image_query, ik, iv, img_out):
        first, second = block.txt_mod(self.vec)
        cq, ck, cv = qkv(block.txt_attn, block.txt_norm1(self.concepts), first, self.heads)
        self.cross_scores.append(self.token_weights @ (ck.float() @ image_query.float().transpose(2, 3)).mean(1))
        out = join(attention(cq, torch.cat((ck, ik), 2), torch.cat((cv, iv), 2), attn_mask=self.keys))
        self.scores.append(self.token_weights @ (out.float() @ img_out.float().transpose(1, 2)))
        self.concepts = add(self.concepts, block.txt_attn, block.txt_norm2, block.txt_mlp, out, first, second)


def qkv(attn, x, modulation, heads):
    x = attn.qkv((1 + modulation.scale) * x + modulation.shift)
    q, k, v = x.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return attn.norm.query_norm(q).to(v), attn.norm.key_norm(k).to(v), v


def rotate(x, rotations):
    pairs = x.float().unflatten(-1, (-1, 1, 2))
    return (rotations[..., 0] * pairs[..., 0] + rotations[..., 1] * pairs[..., 1]).flatten(-2).to(x)


def join(x):
    return x.transpose(1, 2).flatten(2)


def add(x, attn, norm, mlp, out, first, second):
    x = x + first.gate * attn.proj(out)
    return x + second.gate * mlp((1 + second.scale) * norm(x) + second.shift)


def single(block, x, vec, rotations, heads, keys=None):
    """keys: bool, as `attention` has them."""
    modulation, _ = block.modulation(vec)
    x_in = (1 + modulation.scale) * block.pre_norm(x) + modulation.shift
    qkv_part, mlp = torch.split(block.linear1(x_in), [3 * block.hidden_size, block.mlp_hidden_dim], dim=-1)
    q, k, v = qkv_part.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    q, k = block.norm.query_norm(q).to(v), block.norm.key_norm(k).to(v)
    out = join(attention(rotate(q, rotations), rotate(k, rotations), v, attn_mask=keys))
    return x + modulation.gate * block.linear2(torch.cat((out, block.mlp_act(mlp)), 2))
