"""A model, its text encoders and its VAE, from files, through ComfyUI's own loaders."""

from collections.abc import Sequence
from os import PathLike, fspath
from typing import NamedTuple

import comfy.sd
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..families.registry import family_of

File = str | PathLike[str]


class Loaded(NamedTuple):
    """ComfyUI's MODEL, CLIP and VAE."""

    model: ModelPatcher
    clip: comfy.sd.CLIP
    vae: comfy.sd.VAE


def load_model(
    checkpoint: File | None = None,
    *,
    diffusion_model: File | None = None,
    text_encoders: Sequence[File] = (),
    vae: File | None = None,
) -> Loaded:
    """checkpoint: a file with all three in it. The others stand for what it lacks, or replace it; without a checkpoint all are needed.

    ValueError names the part that is missing, or says that the model's family is not supported.
    """
    model = clip = decoder = None
    if checkpoint is not None:
        model, clip, decoder = comfy.sd.load_checkpoint_guess_config(fspath(checkpoint))[:3]
        if decoder is not None and decoder.first_stage_model is None:  # ComfyUI's stand-in, which raises when it is used
            decoder = None
    if diffusion_model is not None:
        model = comfy.sd.load_diffusion_model(fspath(diffusion_model))
    if model is None:
        raise ValueError("There is no diffusion model: give a checkpoint, or diffusion_model.")
    family = family_of(model)
    if text_encoders:
        clip = comfy.sd.load_clip([fspath(file) for file in text_encoders], clip_type=clip_type(family.clip_type))
    if clip is None:
        raise ValueError(f"There is no text encoder: give text_encoders. {family.clip_hint}")
    if vae is not None:
        numbers, metadata = comfy.utils.load_torch_file(fspath(vae), return_metadata=True)
        decoder = comfy.sd.VAE(sd=numbers, metadata=metadata)
    elif model.get_model_object("latent_format").latent_channels == 3:
        decoder = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})  # of models whose latents are pictures, which have no file
    if decoder is None:
        raise ValueError(f"There is no VAE: give the one of {family.name} as vae.")
    decoder.throw_exception_if_invalid()
    return Loaded(model, clip, decoder)


def clip_type(name: str) -> comfy.sd.CLIPType:
    """What ComfyUI's loaders call it, as ComfyUI's own enumeration; ValueError if this ComfyUI has none of that name."""
    try:
        return comfy.sd.CLIPType[name.upper()]
    except KeyError as error:
        raise ValueError(f"This ComfyUI knows no text encoders of the type {name}: update it.") from error


@torch.no_grad()
def encode_text(clip: comfy.sd.CLIP, text: str) -> list:
    """A prompt as ComfyUI's CONDITIONING, weights and embeddings included."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


@torch.no_grad()
def encode_pictures(vae: comfy.sd.VAE, pictures: Tensor) -> Tensor:
    """Pictures, or a clip's frames, [B, H, W, 3] in 0..1 → a latent [B, channels, h, w], or of a clip [1, channels, t, h, w]."""
    return vae.encode(pictures[..., :3])


@torch.no_grad()
def decode_latent(vae: comfy.sd.VAE, latent: Tensor) -> Tensor:
    """A latent → pictures, or a clip's frames, [B, H, W, 3] in 0..1."""
    pictures = vae.decode(latent)
    return pictures.flatten(0, -4) if pictures.ndim == 5 else pictures
