"""HunyuanVideo with a concept stream as one differentiable function, as differentiable_flux.py has Flux; and how it begins as that."""

import torch
from comfy.ldm.flux.layers import timestep_embedding
from comfy.ldm.hunyuan_video.model import HunyuanVideo
from concept_attention.demo_model.hunyuan import HUNYUAN_FILE, hunyuan_weights, stored_weights
from concept_attention.demo_model.text_encoders import HUNYUAN_POOLED_WIDTH, LLAMA_WIDTH, load_flux_clip, load_hunyuan_clip
from differentiable_flux import GUIDANCE, ConceptStream, add, attention, begun, join, qkv, rotate, single
from safetensors.torch import load_file, save_file
from scenes import COLOURS, GROUNDS, SHAPES

FILE = HUNYUAN_FILE
CONFIG = {
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": HUNYUAN_POOLED_WIDTH,
    "context_in_dim": LLAMA_WIDTH,
    "hidden_size": 128,
    "mlp_ratio": 4.0,
    "num_heads": 1,
    "depth": 6,
    "depth_single_blocks": 2,
    "axes_dim": [16, 56, 56],
    "theta": 256,
    "patch_size": [1, 2, 2],
    "qkv_bias": True,
    "guidance_embed": False,
    "byt5": False,
    "meanflow": False,
    "meanflow_sum": False,
    "use_cond_type_embedding": False,
    "vision_in_dim": None,
}


def load_clip():
    return load_hunyuan_clip()


def new_model():
    model = HunyuanVideo(dtype=torch.float32, operations=torch.nn, **CONFIG)
    return begun(model, lambda name: "refiner" in name and "adaLN" in name)


def begin_as_flux(model, flux, text_encoders):
    """Give `model` the weights of a demo Flux: of one frame it then makes nearly what that does (its rotary positions are slower).

    What the guidance that Flux was trained at adds to the time goes into the time's bias. Single words become what Flux's first layer
    made of T5's, as well as a linear map can.
    """
    own = model.state_dict()
    shared = {name: tensor for name, tensor in flux.items() if name in own and own[name].shape == tensor.shape}
    guidance = timestep_embedding(torch.tensor([GUIDANCE]), 256)
    hidden = torch.nn.functional.silu(guidance @ flux["guidance_in.in_layer.weight"].T + flux["guidance_in.in_layer.bias"])
    added = (hidden @ flux["guidance_in.out_layer.weight"].T + flux["guidance_in.out_layer.bias"])[0]
    shared["time_in.out_layer.bias"] = flux["time_in.out_layer.bias"] + added
    pooled = flux["vector_in.in_layer.weight"]
    shared["vector_in.in_layer.weight"] = torch.nn.functional.pad(pooled, (0, HUNYUAN_POOLED_WIDTH - pooled.shape[1]))
    shared["img_in.proj.weight"] = flux["img_in.weight"].reshape(own["img_in.proj.weight"].shape)
    shared["img_in.proj.bias"] = flux["img_in.bias"]
    given, wanted = words_in_both(text_encoders)
    wanted = wanted @ flux["txt_in.weight"].T + flux["txt_in.bias"]
    ones = torch.ones(len(given), 1)
    with_bias = torch.cat((given, ones), 1)
    ridge = 0.3 * torch.eye(with_bias.shape[1])
    solution = torch.linalg.solve(with_bias.T @ with_bias + ridge, with_bias.T @ wanted)
    shared["txt_in.input_embedder.weight"], shared["txt_in.input_embedder.bias"] = solution[:-1].T.contiguous(), solution[-1]
    model.load_state_dict({**own, **shared})
    return [name for name in own if name not in shared]


def words_in_both(text_encoders):
    """[n, width] of Llama, [n, width] of T5: words of shapes, names and captions as both read them."""
    flux = load_flux_clip()
    given, wanted = [], []
    texts = [*SHAPES, *GROUNDS, *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)]
    texts += [f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES]
    texts += [f"a {shape} on {ground}" for shape in SHAPES for ground in GROUNDS]
    for text in texts:
        tokenizer = flux.tokenizer.t5xxl.tokenizer
        pieces = tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"][:-1])
        ends = [i for i in range(len(pieces)) if i + 1 == len(pieces) or pieces[i + 1].startswith("\u2581")]
        read = flux.encode_from_tokens(flux.tokenize(text))[0]
        context, _ = text_encoders.prompt(text)
        words = len(text.split())
        given.append(context[-1 - words : -1])
        wanted.append(read[ends])
        assert len(ends) == words == len(given[-1]), (text, pieces)
    return torch.cat(given), torch.cat(wanted)


def save(weights, path):
    save_file(stored_weights(weights), path)


def load(path):
    return hunyuan_weights(load_file(path))


def flow_and_scores(model, latent, sigma, batch):
    """Velocity like `latent` [B, 16, t, h, w], and the output-space and cross-attention scores [B, C, N] of all blocks.

    The family takes all by default.
    """
    img_ids = model.img_ids(latent)
    img = model.img_in(latent)
    time = model.time_in(timestep_embedding(sigma, 256))
    vec = time + model.vector_in(batch.pooled)
    txt = refined(model.txt_in, batch.context, batch.context_there, sigma)
    txt_ids = torch.zeros(img_ids.shape[0], txt.shape[1], 3)
    rotations = model.pe_embedder(torch.cat((txt_ids, img_ids), 1)[:1])
    keys = torch.nn.functional.pad(batch.context_there, (0, img.shape[1]), value=True)[:, None, None]
    heads, stream = model.num_heads, None
    if batch.concepts is not None:
        stream = concept_stream(model, time, sigma, batch, img.shape[1])
    for block in model.double_blocks:
        img_1, img_2 = block.img_mod(vec)
        txt_1, txt_2 = block.txt_mod(vec)
        image_query, ik, iv = qkv(block.img_attn, block.img_norm1(img), img_1, heads)
        tq, tk, tv = qkv(block.txt_attn, block.txt_norm1(txt), txt_1, heads)
        iq, ik = rotate(image_query, rotations[:, :, txt.shape[1] :]), rotate(ik, rotations[:, :, txt.shape[1] :])
        joint = attention(torch.cat((tq, iq), 2), torch.cat((tk, ik), 2), torch.cat((tv, iv), 2), attn_mask=keys)
        txt_out, img_out = join(joint[:, :, : txt.shape[1]]), join(joint[:, :, txt.shape[1] :])
        if stream:
            stream.pass_block(block, image_query, ik, iv, img_out)
        img = add(img, block.img_attn, block.img_norm2, block.img_mlp, img_out, img_1, img_2)
        txt = add(txt, block.txt_attn, block.txt_norm2, block.txt_mlp, txt_out, txt_1, txt_2)
    x = torch.cat((txt, img), 1)
    for block in model.single_blocks:
        x = single(block, x, vec, rotations, heads, keys)
    x = model.final_layer(x[:, txt.shape[1] :], vec)
    frames, height, width = latent.shape[2], latent.shape[3] // 2, latent.shape[4] // 2
    x = x.unflatten(1, (frames, height, width)).unflatten(4, (16, 2, 2)).permute(0, 4, 1, 2, 5, 3, 6)
    scores, cross_scores = (stream.scores, stream.cross_scores) if stream else ([], [])
    return x.reshape(latent.shape).float(), scores, cross_scores


def concept_stream(model, time, sigma, batch, image_tokens):
    """Of one token for each concept, which the refiner has read alone."""
    count, concepts, length, width = batch.concepts.shape
    texts, there = batch.concepts.reshape(-1, length, width), batch.concepts_there.reshape(-1, length)
    read = refined(model.txt_in, texts, there, sigma.repeat_interleave(concepts))
    tokens = read[torch.arange(len(read)), batch.starts.flatten()].unflatten(0, (count, concepts))
    without_prompt = time + model.vector_in(torch.zeros_like(batch.pooled))
    weights = torch.eye(concepts).expand(count, -1, -1)
    return ConceptStream(tokens, without_prompt, model.num_heads, weights, batch.concepts_there.any(2), image_tokens)


def refined(refiner, x, there, sigma):
    """What the token refiner makes of texts [B, T, width]; of them `there` [B, T] tells which tokens are no padding."""
    lengths = there.sum(1, keepdim=True).clamp(min=1)
    mean = (x * there[:, :, None]).sum(1) / lengths
    c = refiner.t_embedder(timestep_embedding(sigma, 256)) + refiner.c_embedder(mean)
    keys = there | ~there.any(1, keepdim=True)
    x = refiner.input_embedder(x)
    for block in refiner.individual_token_refiner.blocks:
        first, second = block.adaLN_modulation(c).chunk(2, dim=1)
        q, k, v = block.self_attn.qkv(block.norm1(x)).unflatten(2, (3, block.heads, -1)).permute(2, 0, 3, 1, 4)
        out = join(attention(q, k, v, attn_mask=keys[:, None, None]))
        x = x + block.self_attn.proj(out) * first[:, None]
        x = x + block.mlp(block.norm2(x)) * second[:, None]
    return x
