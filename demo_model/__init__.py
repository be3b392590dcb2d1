"""Models small enough to ship, that the nodes can be tried and tested with."""

from collections.abc import Callable
from dataclasses import dataclass

from comfy import latent_formats

from .flux import load_flux
from .hunyuan import load_hunyuan
from .sd3 import load_sd3
from .text_encoders import load_flux_clip, load_hunyuan_clip, load_sd3_clip
from .vae import load_vae
from .video_vae import load_video_vae


@dataclass(frozen=True)
class DemoFamily:
    load_model: Callable
    load_clip: Callable
    latent_format: latent_formats.LatentFormat

    @property
    def makes_clips(self) -> bool:
        return self.latent_format.latent_dimensions == 3

    def load(self):
        """(MODEL, CLIP, VAE)"""
        return self.load_model(), self.load_clip(), load_video_vae() if self.makes_clips else load_vae(self.latent_format)


DEMO_FAMILIES = {
    "flux": DemoFamily(load_flux, load_flux_clip, latent_formats.Flux()),
    "sd3": DemoFamily(load_sd3, load_sd3_clip, latent_formats.SD3()),
    "hunyuan-video": DemoFamily(load_hunyuan, load_hunyuan_clip, latent_formats.HunyuanVideo()),
}
