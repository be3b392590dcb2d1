"""A model, its text encoders and its VAE, through ComfyUI's own loaders."""

from dataclasses import dataclass

import comfy.sd
import comfy.utils

from ..concept_core.families.flux import Flux1
from ..concept_core.families.registry import family_of
from ..concept_core.families.sd3 import SD3
from ..demo_model import DEMO_FAMILIES

FAMILIES = {"flux": Flux1, "sd3": SD3}
CLIP_TYPES = {"flux": comfy.sd.CLIPType.FLUX, "sd3": comfy.sd.CLIPType.SD3}


@dataclass(frozen=True)
class Files:
    """What to load. checkpoint: "demo" or a file with all three in it; unet, clip and vae stand for what it lacks, or replace it."""

    family: str
    checkpoint: str = ""
    unet: str = ""
    clip: tuple[str, ...] = ()
    vae: str = ""


def load(files: Files):
    """(MODEL, CLIP, VAE); ValueError names the part that is missing, or says that the model is of another family."""
    model = clip = vae = None
    if files.checkpoint == "demo":
        model, clip, vae = DEMO_FAMILIES[files.family].load()
    elif files.checkpoint:
        model, clip, vae = comfy.sd.load_checkpoint_guess_config(files.checkpoint, output_vae=True, output_clip=True)[:3]
    if files.unet:
        model = comfy.sd.load_diffusion_model(files.unet)
    if files.clip:
        clip = comfy.sd.load_clip(list(files.clip), clip_type=CLIP_TYPES[files.family])
    if files.vae:
        vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(files.vae))
    for part, loaded in (("unet", model), ("clip", clip), ("vae", vae)):
        if loaded is None:
            raise ValueError(f"There is no {part} in {files.checkpoint or 'what was given'}: add --{part}.")
    if type(family_of(model)) is not FAMILIES[files.family]:
        raise ValueError(f"The model is of {family_of(model).name}: give its --family.")
    return model, clip, vae


def depth_of(model) -> int:
    """How many blocks have a concept output."""
    return family_of(model).depth
