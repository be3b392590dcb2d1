"""SD3's MMDiT with a concept stream as one differentiable function, on ComfyUI's own sub-modules."""

import torch
from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper, modulate
from concept_attention.demo_model.eight_bits import stored
from concept_attention.demo_model.sd3 import SD3_FILE, sd3_weights
from concept_attention.demo_model.text_encoders import SD3_CONTEXT_WIDTH, SD3_POOLED_WIDTH, load_sd3_clip
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize
from torch.nn.functional import scaled_dot_product_attention as attention

FILE = SD3_FILE
HIDDEN, BLOCKS = 256, 4


def load_clip():
    return load_sd3_clip()


def new_model():
    model = OpenAISignatureMMDITWrapper(
        input_size=None,
        in_channels=16,
        depth=HIDDEN // 64,
        num_blocks=BLOCKS,
        adm_in_channels=SD3_POOLED_WIDTH,
        context_embedder_config={"target": "torch.nn.Linear", "params": {"in_features": SD3_CONTEXT_WIDTH, "out_features": HIDDEN}},
        qk_norm="rms",
        dtype=torch.float32,
        operations=torch.nn,
    )
    for name, parameter in model.named_parameters():
        if "ln_" in name:
            torch.nn.init.ones_(parameter)
        elif parameter.ndim > 1:
            torch.nn.init.xavier_uniform_(parameter.flatten(1))
        else:
            torch.nn.init.zeros_(parameter)
        if "adaLN" in name or name.startswith("final_layer.linear"):
            parameter.data.mul_(0.1)
    return model


def save(weights, path):
    save_file(stored(weights), path)


def load(path):
    weights = sd3_weights(load_file(path))
    weights["context_embedder.weight"] = weights["context_embedder.weight"][:, :SD3_CONTEXT_WIDTH]
    return weights


def flow_and_scores(model, latent, sigma, batch):
    """Velocity like `latent` [B, 16, H, W], and the output-space and cross-attention scores [B, C, N] of the blocks."""
    x = model.x_embedder(latent)
    x = x + model.cropped_pos_embed(latent.shape[-2:]).to(x)
    vec = model.t_embedder(1000 * sigma, dtype=x.dtype) + model.y_embedder(batch.pooled)
    width = model.context_embedder.in_features
    txt, concepts = model.context_embedder(batch.context[..., :width]), model.context_embedder(batch.concept_embeddings[..., :width])
    # Concept tokens that only pad the batch are keys for nobody.
    keys = torch.cat((batch.concept_token_there, torch.ones(x.shape[:2], dtype=torch.bool)), 1)[:, None, None]
    scores, cross_scores = [], []
    for block in model.joint_blocks:
        text, image = block.context_block, block.x_block
        (tq, tk, tv), txt_rest = qkv(text, txt, vec)
        (iq, ik, iv), x_rest = qkv(image, x, vec)
        joint = attention(torch.cat((tq, iq), 2), torch.cat((tk, ik), 2), torch.cat((tv, iv), 2))
        txt_out, img_out = join(joint[:, :, : txt.shape[1]]), join(joint[:, :, txt.shape[1] :])
        x = image.post_attention(img_out, *x_rest)
        if text.pre_only:
            continue
        (cq, ck, cv), concepts_rest = qkv(text, concepts, vec)
        concept_out = join(attention(cq, torch.cat((ck, ik), 2), torch.cat((cv, iv), 2), attn_mask=keys))
        token_scores = normalize(concept_out.float(), dim=-1) @ img_out.float().transpose(1, 2)
        scores.append(batch.token_weights @ token_scores)
        cross_scores.append(batch.token_weights @ (ck.float() @ iq.float().transpose(2, 3)).mean(1))
        txt = text.post_attention(txt_out, *txt_rest)
        concepts = text.post_attention(concept_out, *concepts_rest)
    x = model.unpatchify(model.final_layer(x, vec), hw=latent.shape[-2:])
    return x.float(), scores, cross_scores


def qkv(block, x, vec):
    """Queries, keys and values [B, heads, N, d], and what the block's `post_attention` wants."""
    count = 2 if block.pre_only else 6
    shift, scale, *rest = block.adaLN_modulation(vec).chunk(count, dim=1)
    attn = block.attn
    q, k, v = attn.qkv(modulate(block.norm1(x), shift, scale)).unflatten(2, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return (attn.ln_q(q).to(v), attn.ln_k(k).to(v), v), (x, *rest)


def join(x):
    return x.transpose(1, 2).flatten(2)
