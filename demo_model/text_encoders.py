"""ComfyUI's own T5 and CLIP-L classes at a tiny size, with real tokenizers and random weights that need no file."""

import math
import zlib

import comfy.clip_model
import comfy.ops
import comfy.sd
import comfy.text_encoders.t5
import comfy.utils
import torch
from comfy.supported_models_base import ClipTarget
from comfy.text_encoders.flux import FluxTokenizer, flux_clip

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
T5_WIDTH, POOLED_WIDTH = T5_CONFIG["d_model"], CLIP_L_CONFIG["hidden_size"]
# Flux pads a prompt to 256 T5 tokens, which would be half of all tokens in a small picture.
T5_LENGTH = 32


def load_clip():
    """A CLIP of ComfyUI's Flux type; its weights follow from their names, the same on every machine."""
    weights = [
        random_weights(comfy.clip_model.CLIPTextModel, CLIP_L_CONFIG),
        random_weights(comfy.text_encoders.t5.T5, T5_CONFIG),
    ]
    return comfy.sd.CLIP(
        ClipTarget(FluxTokenizer, flux_clip()),
        state_dict=weights,
        parameters=sum(comfy.utils.calculate_parameters(w) for w in weights),
        tokenizer_data={"t5xxl_min_length": T5_LENGTH},
        model_options={"t5xxl_model_config": T5_CONFIG, "clip_l_model_config": CLIP_L_CONFIG},
    )


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
