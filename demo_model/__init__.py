"""Models small enough to ship, that the nodes can be tried and tested with."""

from collections.abc import Callable
from dataclasses import dataclass

from comfy import latent_formats

from .flux import load_flux
from .sd3 import load_sd3
from .text_encoders import load_flux_clip, load_sd3_clip
from .vae import load_vae


@dataclass(frozen=True)
class DemoFamily:
    load_model: Callable
    load_clip: Callable
    latent_format: latent_formats.LatentFormat

    def load(self):
        """(MODEL, CLIP, VAE)"""
        return self.load_model(), self.load_clip(), load_vae(self.latent_format)


DEMO_FAMILIES = {
    "flux": DemoFamily(load_flux, load_flux_clip, latent_formats.Flux()),
    "sd3": DemoFamily(load_sd3, load_sd3_clip, latent_formats.SD3()),
}
