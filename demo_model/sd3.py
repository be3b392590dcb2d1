"""A small SD3 of ComfyUI's own MMDiT class: hidden size 256, 4 joint blocks, query and key norms as in SD3.5.

Its weights are stored as 8-bit integers with one scale per row.
"""

from pathlib import Path

import comfy.sd
import comfy.utils
import torch

from .eight_bits import restored
from .text_encoders import SD3_CONTEXT_WIDTH

SD3_FILE = Path(__file__).with_name("sd3.safetensors")
# SD3's prompt embeddings are padded with zeros to this width.
CONTEXT_WIDTH = 4096


def load_sd3():
    """A MODEL from ComfyUI's own loader."""
    return comfy.sd.load_diffusion_model_state_dict(sd3_weights(comfy.utils.load_torch_file(str(SD3_FILE), safe_load=True)))


def sd3_weights(file):
    """State dict in the key names of SD3 checkpoints, from what `stored` made."""
    weights = restored(file)
    embedder = weights["context_embedder.weight"]
    weights["context_embedder.weight"] = torch.nn.functional.pad(embedder, (0, CONTEXT_WIDTH - SD3_CONTEXT_WIDTH))
    return weights
