"""Maps of any picture: its latent is noised and shown to the model once, which stops after the last block that is heard."""

from collections.abc import Callable

import torch
from comfy.model_patcher import ModelPatcher
from comfy.sample import fix_empty_latent_channels, prepare_noise
from comfy.samplers import CFGGuider, Sampler
from torch import Tensor

from ..concepts.concepts import Concepts
from ..families.registry import family_of
from ..recording.recording import Recording
from ..recording.scores import ATTENDS_TO
from .sampler import record_concepts


@torch.no_grad()
def encode_image(
    model: ModelPatcher,
    concepts: Concepts,
    positive: list,
    latent: Tensor,
    *,
    noise: float = 0.5,
    samples: int = 1,
    seed: int = 0,
    spaces: str = "auto",
    as_authors: bool = False,
    keep_vectors: str = "",
    single_blocks: bool = False,
    attends_to: tuple[str, ...] = ATTENDS_TO,
    later_heads: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> Recording:
    """A Recording with one step per draw of noise, to be decoded with the same latent.

    latent: [B, channels, h, w], as a VAE encodes pictures. noise: 0..1, where in the model's own schedule, shift included, the
    picture is shown to it: 0 is clean, 1 is noise alone. samples: how many draws of noise; draw i has seed + i, modulo
    2^64. as_authors: change the conditioning as the authors' code does. keep_vectors, single_blocks, attends_to, later_heads: as
    record_concepts has them. progress is called after each draw. ValueError for a prompt without a conditioning, a latent that is not
    the model's or holds NaN, a noise level out of range, and as record_concepts.
    """
    if not 0 <= noise <= 1:
        raise ValueError(f"noise must lie in 0..1, it is {noise:g}.")
    if concepts.of_prompt == "negative":
        raise ValueError("Encode Image for Concepts shows the positive prompt alone: set prompt of Prompt Words to positive.")
    if not positive:
        raise ValueError("positive: it holds no conditioning at all. Connect an encoded prompt, which may be empty text.")
    recorded, recording = record_concepts(
        model, concepts, spaces=spaces, keep_vectors=keep_vectors, single_blocks=single_blocks, attends_to=attends_to,
        later_heads=later_heads, stop_early=True, given_out=latent,
    )  # fmt: skip
    check_latent(model, latent)
    latent = fix_empty_latent_channels(recorded, latent)
    if as_authors:
        family = family_of(model)
        positive = [[context, family.as_authors_encode(options)] for context, options in positive]
    sigma = recorded.get_model_object("model_sampling").percent_to_sigma(1 - noise)
    guider = CFGGuider(recorded)
    guider.set_conds(positive, [])
    guider.set_cfg(1.0)
    guider.sample(torch.zeros_like(latent), latent, ShowOnce(seed, progress), one_by_one(sigma, samples), disable_pbar=True, seed=seed)
    return recording


def check_latent(model, latent: Tensor):
    channels = model.get_model_object("latent_format").latent_channels
    if latent.ndim not in (4, 5) or latent.shape[1] != channels:
        raise ValueError(
            f"latent: {list(latent.shape)} is not of this model, whose latents have {channels} channels. Encode with its own VAE."
        )
    if not torch.isfinite(latent).all():
        raise ValueError("latent: there is NaN or infinity in it. Encode the picture in float32 (--fp32-vae), or with another VAE.")


def one_by_one(sigma: float, samples: int) -> Tensor:
    """A sigma for each draw, next to one another since steps are told apart by theirs, and the 0 that ends a schedule."""
    sigmas = [torch.tensor(float(sigma))]
    while len(sigmas) < samples:
        sigmas.append(torch.nextafter(sigmas[-1], torch.tensor(2.0)))
    return torch.stack([*sigmas, torch.tensor(0.0)])


class ShowOnce(Sampler):
    """A sampler that calls the model once at each sigma, with a new draw of noise, and gives the latent back as it was."""

    def __init__(self, seed: int, progress: Callable[[], None]):
        self.seed, self.progress = seed, progress

    def sample(self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False):
        for draw, sigma in enumerate(sigmas[:-1]):
            drawn = prepare_noise(latent_image.cpu(), (self.seed + draw) % 2**64).to(latent_image)
            x = guider.inner_model.model_sampling.noise_scaling(sigma, drawn, latent_image)
            guider(x, sigma.expand(len(x)), **extra_args)
            self.progress()
        return latent_image
