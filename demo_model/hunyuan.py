"""A small HunyuanVideo of ComfyUI's own class: hidden size 128, 6 double and 2 single blocks.

Its weights are stored as 8-bit integers with one scale per row.
"""

from pathlib import Path

import comfy.sd
import comfy.utils
import torch

from .eight_bits import restored, stored
from .text_encoders import HUNYUAN_POOLED_WIDTH, POOLED_WIDTH

HUNYUAN_FILE = Path(__file__).with_name("hunyuan.safetensors")
SHIFT = 3.0  # of the schedule: 7, which is for clips with many more tokens, leaves too few steps for the shapes
_POOLED = "vector_in.in_layer.weight"


def load_hunyuan(file=HUNYUAN_FILE):
    """A MODEL from ComfyUI's own loader."""
    model = comfy.sd.load_diffusion_model_state_dict(hunyuan_weights(comfy.utils.load_torch_file(str(file), safe_load=True)))
    model.get_model_object("model_sampling").set_parameters(shift=SHIFT)
    return model


def hunyuan_weights(file):
    """State dict in ComfyUI's key names, from what `stored_weights` made."""
    weights = restored(file)
    weights[_POOLED] = torch.nn.functional.pad(weights[_POOLED], (0, HUNYUAN_POOLED_WIDTH - POOLED_WIDTH))
    return weights


def stored_weights(weights):
    """What goes into the file, without what would read the zeros that pad a pooled prompt."""
    return stored({**weights, _POOLED: weights[_POOLED][:, :POOLED_WIDTH]})
