"""A VAE of ComfyUI's TAESD class with 16 latent channels.

The encoder is no trained network: its weights are written so that it computes 16 low cosine frequencies of each 8 x 8
block of pixels, exactly. The decoder is trained to undo that, and is the only part that needs a file.
"""

from pathlib import Path

import comfy.sd
import comfy.utils
import numpy as np
import torch
from comfy.taesd.taesd import Encoder

DECODER_FILE = Path(__file__).with_name("vae_decoder.safetensors")

_LUMA_FREQUENCIES = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (0, 3), (1, 2), (2, 1), (3, 0)]
_CHROMA_FREQUENCIES = _LUMA_FREQUENCIES[:3]
_LUMA, _BLUE, _RED = (0.299, 0.587, 0.114), (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081)
# Mean and scale of each coefficient over the demo scenes; frequencies above 0 are kept smaller than means.
_MEAN = np.array([0.57] + 9 * [0.0] + [-0.03, 0.0, 0.0] + [0.01, 0.0, 0.0])
_SCALE = np.array([4.7] + 2 * [14.0] + 3 * [20.0] + 4 * [26.0] + [7.6, 20.0, 20.0] + [7.6, 20.0, 20.0])


def cosine_basis():
    """[16, 3, 8, 8]: latent = basis · block of RGB pixels in 0..1, minus `latent_offset()`."""
    planes = [(f, _LUMA) for f in _LUMA_FREQUENCIES]
    planes += [(f, colour) for colour in (_BLUE, _RED) for f in _CHROMA_FREQUENCIES]
    basis = np.stack([np.multiply.outer(colour, np.outer(_cosine(v), _cosine(u))) for (v, u), colour in planes])
    return torch.from_numpy(basis * _SCALE[:, None, None, None]).float()


def latent_offset():
    """[16]: what is taken off so that each latent channel has mean 0 over the demo scenes."""
    return torch.from_numpy(_MEAN * _SCALE).float()


def _cosine(frequency):
    """One DCT-II basis vector of length 8 with mean square 1/64, so that frequency 0 is the mean of a block."""
    wave = np.cos(np.pi * (np.arange(8) + 0.5) * frequency / 8) / 8
    return wave if frequency == 0 else wave * np.sqrt(2)


def encoder_weights():
    """State dict of TAESD's encoder that computes `cosine_basis` exactly.

    Pixels are not negative, so the ReLUs let them pass: the first two stride-2 convolutions gather 4 x 4 pixels into 48
    channels, the third takes the cosine sums of 2 x 2 such groups, once with each sign, and the last one subtracts the
    negative half.
    """
    weights = {name: torch.zeros_like(tensor) for name, tensor in Encoder(latent_channels=16).state_dict().items()}
    convolutions = [name for name, tensor in weights.items() if tensor.ndim == 4 and name.count(".") == 1]
    first, gather, gather_again, transform, last = convolutions
    channels = torch.arange(3)
    weights[first][channels, channels, 1, 1] = 1
    _gather(weights[gather], 3)
    _gather(weights[gather_again], 12)
    # [16, 3, 8, 8] → the order that two gatherings leave: rows and columns 2·2·2, the finest gathered first.
    basis = cosine_basis().reshape(16, 3, 2, 2, 2, 2, 2, 2)  # out, rgb, y4, y2, y1, x4, x2, x1
    basis = basis.permute(0, 3, 6, 4, 7, 1, 2, 5).reshape(16, 48, 2, 2)
    weights[transform][:16, :48, 1:, 1:] = basis
    weights[transform][16:32, :48, 1:, 1:] = -basis
    channels = torch.arange(16)
    weights[last][channels, channels, 1, 1] = 1
    weights[last][channels, channels + 16, 1, 1] = -1
    weights[last.replace("weight", "bias")][:] = -latent_offset()
    return weights


def _gather(kernel, channels):
    """Write a stride-2 kernel that puts pixel (2i + dy, 2j + dx) of channel c into channel (2·dy + dx)·channels + c."""
    for place, (dy, dx) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        source = torch.arange(channels)
        kernel[place * channels + source, source, 1 + dy, 1 + dx] = 1


def load_vae(latent_format, decoder_file=DECODER_FILE):
    """A VAE from ComfyUI's own loader, whose decoder sees what a diffusion model with that latent format sees."""
    weights = {f"taesd_encoder.{name}": tensor for name, tensor in encoder_weights().items()}
    for name, tensor in comfy.utils.load_torch_file(str(decoder_file), safe_load=True).items():
        weights[f"taesd_decoder.{name}"] = tensor
    weights["vae_scale"], weights["vae_shift"] = torch.tensor(latent_format.scale_factor), torch.tensor(latent_format.shift_factor)
    vae = comfy.sd.VAE(sd=weights)
    vae.throw_exception_if_invalid()
    return vae
