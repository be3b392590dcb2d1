"""ComfyUI's own T5, CLIP and Llama classes at a tiny size, with real tokenizers and random weights that need no file."""

import math
import zlib
from typing import Any

import comfy.clip_model
import comfy.ops
import comfy.sd
import comfy.text_encoders.hunyuan_video
import comfy.text_encoders.llama
import comfy.text_encoders.t5
import comfy.utils
import torch
from comfy.supported_models_base import ClipTarget
from comfy.text_encoders.flux import FluxTokenizer, flux_clip
from comfy.text_encoders.sd3_clip import SD3Tokenizer, sd3_clip

T5_CONFIG = {
    "model_type": "t5",
    "vocab_size": 32128,
    "d_model": 128,
    "d_kv": 32,
    "num_heads": 4,
    "d_ff": 256,
    "num_layers": 1,
    "dense_act_fn": "gelu_pytorch_tanh",
    "is_gated_act": True,
}
CLIP_L_CONFIG = {
    "vocab_size": 49408,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "eos_token_id": 49407,
}
# Flux pads a prompt to 256 T5 tokens and SD3 to 77 CLIP tokens, which would be many beside those of a small picture.
PROMPT_LENGTH = 32
# SD3 reads the last layer but one.
SD3_CLIP_L_CONFIG = {**CLIP_L_CONFIG, "num_hidden_layers": 3, "max_position_embeddings": PROMPT_LENGTH}
SD3_CLIP_G_CONFIG: dict[str, Any] = {
    **SD3_CLIP_L_CONFIG,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "hidden_act": "gelu",
}
# HunyuanVideo reads the last layer but two.
LLAMA_CONFIG = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
LLAMA_WIDTH, LLAMA_HEAD_WIDTH = LLAMA_CONFIG["hidden_size"], 128
HUNYUAN_POOLED_WIDTH = 768  # what ComfyUI takes a HunyuanVideo to be of
POSITION_WIDTH = 32
T5_WIDTH, POOLED_WIDTH = T5_CONFIG["d_model"], CLIP_L_CONFIG["hidden_size"]
SD3_CONTEXT_WIDTH = SD3_POOLED_WIDTH = SD3_CLIP_L_CONFIG["hidden_size"] + SD3_CLIP_G_CONFIG["hidden_size"]


def load_flux_clip(prompt_length=PROMPT_LENGTH):
    """A CLIP of ComfyUI's Flux type; its weights follow from their names, the same on every machine."""
    weights = [
        random_weights(comfy.clip_model.CLIPTextModel, CLIP_L_CONFIG),
        random_weights(comfy.text_encoders.t5.T5, T5_CONFIG),
    ]
    return comfy.sd.CLIP(
        ClipTarget(FluxTokenizer, flux_clip()),
        state_dict=weights,
        parameters=sum(comfy.utils.calculate_parameters(w) for w in weights),
        tokenizer_data={"t5xxl_min_length": prompt_length},
        model_options={"t5xxl_model_config": T5_CONFIG, "clip_l_model_config": CLIP_L_CONFIG},
    )


def load_sd3_clip():
    """A CLIP of ComfyUI's SD3 type with CLIP-L and CLIP-G and without T5, as SD3 is often run."""
    clip_l = random_weights(comfy.clip_model.CLIPTextModel, SD3_CLIP_L_CONFIG)
    clip_g = random_weights(comfy.clip_model.CLIPTextModel, SD3_CLIP_G_CONFIG)
    _look_at_tokens_before(clip_g)
    weights = {f"clip_l.transformer.{name}": tensor for name, tensor in clip_l.items()}
    weights |= {f"clip_g.transformer.{name}": tensor for name, tensor in clip_g.items()}
    return comfy.sd.CLIP(
        ClipTarget(SD3Tokenizer, sd3_clip(t5=False)),
        state_dict=weights,
        parameters=comfy.utils.calculate_parameters(weights),
        tokenizer_data={"clip_l_max_length": PROMPT_LENGTH, "clip_g_max_length": PROMPT_LENGTH},
        model_options={"clip_l_model_config": SD3_CLIP_L_CONFIG, "clip_g_model_config": SD3_CLIP_G_CONFIG},
    )


def load_hunyuan_clip():
    """A CLIP of ComfyUI's HunyuanVideo type. Its template's 95 tokens are read and taken off as they are of the real one."""
    weights = [
        random_weights(comfy.clip_model.CLIPTextModel, CLIP_L_CONFIG),
        random_weights(comfy.text_encoders.llama.Llama2, LLAMA_CONFIG),
    ]
    _look_at_words_before(weights[1])
    return comfy.sd.CLIP(
        ClipTarget(comfy.text_encoders.hunyuan_video.HunyuanVideoTokenizer, _HunyuanClip),
        state_dict=weights,
        parameters=sum(comfy.utils.calculate_parameters(w) for w in weights),
        model_options={"llama_model_config": LLAMA_CONFIG, "clip_l_model_config": CLIP_L_CONFIG},
    )


class _HunyuanClip(comfy.text_encoders.hunyuan_video.HunyuanVideoClipModel):
    """Its pooled prompt is padded with zeros to the width that ComfyUI takes all HunyuanVideos to have."""

    def encode_token_weights(self, token_weight_pairs):
        context, pooled, more = super().encode_token_weights(token_weight_pairs)
        return context, torch.nn.functional.pad(pooled, (0, HUNYUAN_POOLED_WIDTH - pooled.shape[1])), more


def random_weights(model_class, config):
    skeleton = model_class(config, torch.float32, "meta", comfy.ops.disable_weight_init).state_dict()
    return {name: _random_tensor(name, tensor.shape) for name, tensor in skeleton.items()}


def _random_tensor(name, shape):
    """Normal with the scale that keeps activations at unit size; norms near 1, embeddings at 1."""
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if name.endswith("relative_attention_bias.weight"):
        return _neighbours(shape)
    if name.endswith("SelfAttention.q.weight"):
        return 0.01 * tensor  # what T5's heads look at is decided by position
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.1 * tensor
    if "embedding" in name or name.startswith("shared"):
        return tensor
    return tensor / math.sqrt(shape[-1])


def _neighbours(shape):
    """T5's position bias [buckets, heads]: the four heads look at the token before, the one after, and the next ones.

    Random heads would not tell "a red circle and a blue square" from "a blue circle and a red square".
    """
    bias = torch.zeros(shape)
    after = shape[0] // 2
    for head, bucket in enumerate((1, after + 1, 2, after + 2)):
        bias[bucket, head] = 10
    return bias


def _look_at_tokens_before(clip):
    """Make three of the four heads in each of CLIP's layers look one, two and three tokens back.

    The last POSITION_WIDTH dimensions hold cosines and sines of the position and nothing else. Their frequencies are
    such that the product of two positions is 0 unless they are equal.
    """
    half = POSITION_WIDTH // 2
    frequencies = math.pi * (torch.arange(half) + 0.5) / half
    angles = torch.arange(PROMPT_LENGTH)[:, None] * frequencies
    clip["text_model.embeddings.token_embedding.weight"][:, -POSITION_WIDTH:] = 0
    clip["text_model.embeddings.position_embedding.weight"][:] = 0
    clip["text_model.embeddings.position_embedding.weight"][:, -POSITION_WIDTH:] = torch.cat((angles.cos(), angles.sin()), 1)
    for name, tensor in clip.items():
        if "out_proj" in name or "mlp.fc2" in name:
            tensor[-POSITION_WIDTH:] = 0
        elif name.endswith(("q_proj.weight", "k_proj.weight")):
            for head in range(3):
                rows = tensor[head * POSITION_WIDTH : (head + 1) * POSITION_WIDTH]
                rows[:] = 0
                rows[:, -POSITION_WIDTH:] = 3 * _rotation((head + 1) * frequencies if "q_proj" in name else 0 * frequencies)
        elif name.endswith(("q_proj.bias", "k_proj.bias")):
            tensor[:] = 0


def _look_at_words_before(llama):
    """Make the heads of Llama's first layer look one, two, three and four tokens back; the other layers do nothing.

    The last dimension of every token is the same number. Queries and keys are made of it alone: the keys the same for all, the
    queries turned by that many tokens against them. The rotary positions do the rest.
    """
    half = LLAMA_HEAD_WIDTH // 2
    frequencies = 500000.0 ** -(torch.arange(half) / half)
    seen = (torch.arange(half) < 16).float()  # the slower ones hardly tell neighbours apart
    llama["model.embed_tokens.weight"][:, -1] = 4
    for name, tensor in llama.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            tensor[slice(-1, None) if ".layers.0." in name else slice(None)] = 0
            if "o_proj" in name:
                tensor *= 2
        elif name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor[:] = 0
            for head in range(LLAMA_CONFIG["num_attention_heads"]):
                angles = (head + 1) * frequencies if "q_proj" in name else 0 * frequencies
                rows = tensor[head * LLAMA_HEAD_WIDTH : (head + 1) * LLAMA_HEAD_WIDTH]
                rows[:, -1] = 3 * torch.cat((seen * angles.cos(), -seen * angles.sin()))


def _rotation(angles):
    """The matrix that turns (cos t, sin t) into (cos(t - angle), sin(t - angle)) for each of `angles`."""
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    return torch.cat((torch.cat((cos, sin), 1), torch.cat((-sin, cos), 1)))
