"""A Flux of ComfyUI's own class, small enough to ship: hidden size 128, 6 double and 2 single blocks."""

from pathlib import Path

import comfy.sd
import comfy.utils

FLUX_FILE = Path(__file__).with_name("flux.safetensors")
STRIPES_FILE = Path(__file__).with_name("flux_stripes_lora.safetensors")


def load_flux(file=FLUX_FILE):
    """A MODEL from ComfyUI's own loader."""
    return comfy.sd.load_diffusion_model_state_dict(comfy.utils.load_torch_file(str(file), safe_load=True))


def load_stripes():
    """The weights of a LoRA for it, with which things have white stripes, as ComfyUI's loaders of LoRAs have them."""
    return comfy.utils.load_torch_file(str(STRIPES_FILE), safe_load=True)
