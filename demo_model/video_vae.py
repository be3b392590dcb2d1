"""A video VAE of 16 latent channels, 8 times smaller in space and 4 times in time, that ComfyUI's VAE object runs.

Its encoder is written down: frame 0 and the third of every four frames that follow, each as the picture VAE's cosine frequencies of 8 x 8
blocks. To decode, a small network makes the latents of the frames between, and the picture VAE's decoder paints each frame.
"""

from pathlib import Path

import comfy.ldm.wan.vae
import comfy.sd
import comfy.utils
import torch
from comfy.latent_formats import HunyuanVideo
from comfy.taesd.taesd import Decoder
from torch import nn

from .eight_bits import restored
from .vae import DECODER_FILE, cosine_basis, latent_offset

BETWEEN_FILE = Path(__file__).with_name("frames_between.safetensors")
FRAMES_PER_LATENT = 4


def kept_frames(frames):
    """Those of a clip whose pictures its latent holds: frame 0 and the third of every whole four that follow."""
    return [0, *(FRAMES_PER_LATENT * number - 1 for number in range(1, (frames - 1) // FRAMES_PER_LATENT + 1))]


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.second(nn.functional.silu(self.first(nn.functional.silu(x))))


class FramesBetween(nn.Module):
    """Latents of a clip's kept frames → latents of all its frames, from a latent frame and its neighbours in time."""

    def __init__(self, width=64, blocks=4):
        super().__init__()
        self.begin = nn.Conv2d(3 * 16 + 2, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.end = nn.Conv2d(width, 3 * 16, 3, padding=1)

    def forward(self, latent):
        """[B, 16, t, h, w] → [B, 16, 4 (t − 1) + 1, h, w]; those of kept frames stay as they are."""
        frames = [latent[:, :, 0]]
        last = latent.shape[2] - 1
        for number in range(1, last + 1):
            before, here = latent[:, :, number - 1], latent[:, :, number]
            after = latent[:, :, number + 1] if number < last else torch.zeros_like(here)
            edges = [torch.full_like(here[:, :1], float(number == edge)) for edge in (1, last)]
            x = self.end(self.blocks(self.begin(torch.cat((before, here, after, *edges), 1)))).unflatten(1, (3, 16))
            apart = FRAMES_PER_LATENT - (number == 1)
            frames += [torch.lerp(here, before, (2 - i) / apart) + x[:, i] for i in range(2)]
            frames += [here, (here if number == last else torch.lerp(here, after, 1 / FRAMES_PER_LATENT)) + x[:, 2]]
        return torch.stack(frames, 2)


class ClipCodec(nn.Module):
    """What ComfyUI's VAE object calls: clips [B, 3, F, H, W] in −1..1, latents as a HunyuanVideo's VAE gives them out."""

    def __init__(self):
        super().__init__()
        self.between, self.decoder = FramesBetween(), Decoder(latent_channels=16)
        self.register_buffer("basis", cosine_basis(), persistent=False)
        self.register_buffer("offset", latent_offset()[:, None, None], persistent=False)

    def encode(self, clip):
        frames = clip[:, :, kept_frames(clip.shape[2])].transpose(1, 2)
        blocks = nn.functional.conv2d((frames.flatten(0, 1) + 1) / 2, self.basis, stride=8) - self.offset
        return blocks.unflatten(0, frames.shape[:2]).transpose(1, 2) / HunyuanVideo.scale_factor

    def decode(self, latent):
        frames = self.between(latent * HunyuanVideo.scale_factor).transpose(1, 2)
        pictures = torch.cat([self.decoder(one) for one in frames.flatten(0, 1).split(1)])
        return pictures.unflatten(0, frames.shape[:2]).transpose(1, 2) * 2 - 1


def load_video_vae(between_file=BETWEEN_FILE, decoder_file=DECODER_FILE):
    """A VAE of ComfyUI, made for a small video VAE of Wan's class, of which this has the sizes and the frames."""
    wan = comfy.ldm.wan.vae.WanVAE(dim=4, z_dim=16, temperal_downsample=[False, True, True])
    vae = comfy.sd.VAE(sd=wan.state_dict(), dtype=torch.float32)
    vae.throw_exception_if_invalid()
    codec = ClipCodec().to(torch.float32)
    codec.between.load_state_dict(restored(comfy.utils.load_torch_file(str(between_file), safe_load=True)))
    decoder = comfy.utils.load_torch_file(str(decoder_file), safe_load=True)
    codec.decoder.load_state_dict({name: tensor.float() for name, tensor in decoder.items()})
    vae.first_stage_model = codec.eval().requires_grad_(False)
    vae.patcher = type(vae.patcher)(codec, load_device=vae.device, offload_device=vae.patcher.offload_device)
    return vae
