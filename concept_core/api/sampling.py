"""What ComfyUI's KSampler does, in Python."""

from collections.abc import Callable

import comfy.sample
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ..families.registry import family_of

Callback = Callable[[int, Tensor, Tensor, int], None]


def empty_latent(model: ModelPatcher, width: int, height: int, *, batch: int = 1, frames: int = 1) -> Tensor:
    """Zeros to sample from: [batch, channels, h, w], or [batch, channels, t, h, w] for models whose latents have frames.

    width, height: in pixels. frames: of a clip; a latent's frames after the first stand for several each, so rounded down to what fits.
    ValueError where a model makes no clips, or the size is below one image token.
    """
    family = family_of(model)
    if frames > 1 and not family.frames_per_latent:
        raise ValueError(f"frames: {family.name} makes no clips. Leave it at 1.")
    if min(width, height) < family.pixels_per_token or frames < 1 or batch < 1:
        least = family.pixels_per_token
        raise ValueError(f"{batch} x {frames} x {width} x {height}: at least 1 frame and {least} pixels a side are needed.")
    rows, columns = (side // family.pixels_per_token * family.patch for side in (height, width))
    several = family.latent_format.latent_dimensions == 3
    of_clip = [(frames - 1) // family.frames_per_latent + 1 if family.frames_per_latent else 1] if several else []
    return torch.zeros(batch, family.latent_format.latent_channels, *of_clip, rows, columns)


@torch.no_grad()
def sample(
    model: ModelPatcher,
    positive: list,
    latent: Tensor,
    *,
    negative: list | None = None,
    steps: int = 20,
    cfg: float = 1.0,
    seed: int = 0,
    sampler: str = "euler",
    scheduler: str = "simple",
    denoise: float = 1.0,
    callback: Callback | None = None,
) -> Tensor:
    """A latent of the same shape: what KSampler gives out for these settings, to the bit.

    positive, negative: as encode_text gives them. sampler, scheduler: ComfyUI's names. denoise: how much of the schedule is gone through.
    callback: is called after each step with its number, the predicted picture, the noisy latent and how many steps there are.
    ValueError where cfg is above 1 without a negative prompt.
    """
    if cfg != 1 and negative is None:
        raise ValueError(f"negative: a cfg of {cfg:g} needs a negative prompt, which may be encode_text of empty text.")
    latent = comfy.sample.fix_empty_latent_channels(model, latent)
    noise = comfy.sample.prepare_noise(latent, seed)
    schedule = steps, cfg, sampler, scheduler
    return comfy.sample.sample(
        model, noise, *schedule, positive, negative or [], latent, denoise=denoise, callback=callback, disable_pbar=True, seed=seed
    )
