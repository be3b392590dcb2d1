"""A small SD3 of ComfyUI's own MMDiT class: hidden size 256, 4 joint blocks, query and key norms as in SD3.5.

Its weights are stored as 8-bit integers with one scale per row.
"""

from pathlib import Path

import comfy.sd
import comfy.utils
import torch

from .text_encoders import SD3_CONTEXT_WIDTH

SD3_FILE = Path(__file__).with_name("sd3.safetensors")
# SD3's prompt embeddings are padded with zeros to this width.
CONTEXT_WIDTH = 4096
_SCALE = ".scale_of_rows"


def load_sd3():
    """A MODEL from ComfyUI's own loader."""
    return comfy.sd.load_diffusion_model_state_dict(sd3_weights(comfy.utils.load_torch_file(str(SD3_FILE), safe_load=True)))


def sd3_weights(stored):
    """State dict in the key names of SD3 checkpoints, from what `stored_weights` made."""
    weights = {}
    for name, tensor in stored.items():
        if name + _SCALE in stored:
            tensor = tensor.float() * stored[name + _SCALE].float()
        if not name.endswith(_SCALE):
            weights[name] = tensor.float()
    embedder = weights["context_embedder.weight"]
    weights["context_embedder.weight"] = torch.nn.functional.pad(embedder, (0, CONTEXT_WIDTH - SD3_CONTEXT_WIDTH))
    return weights


def stored_weights(weights):
    """What goes into the file: matrices as int8 with a scale per row, the rest in half precision."""
    stored = {}
    for name, tensor in weights.items():
        if tensor.ndim < 2:
            stored[name] = tensor.half()
            continue
        rows = tensor.flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp(min=1e-12).reshape(-1, *[1] * (tensor.ndim - 1))
        stored[name], stored[name + _SCALE] = (tensor / scale).round().to(torch.int8), scale.float()
    return stored
