"""A model, its text encoders and its VAE, through ComfyUI's own loaders."""

from dataclasses import dataclass

import comfy.sd
import comfy.utils

from ..concept_core.families.registry import BY_KEY, family_of
from ..demo_model import DEMO_FAMILIES


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
    if files.family not in BY_KEY:
        raise ValueError(f"--family is one of {', '.join(BY_KEY)}.")
    of_pictures = [key for key, family in DEMO_FAMILIES.items() if not family.makes_clips]
    if files.checkpoint == "demo" and files.family not in of_pictures:
        raise ValueError(f"There are demo models of {' and '.join(of_pictures)} alone: give --checkpoint or --unet, --clip and --vae.")
    model = clip = vae = None
    if files.checkpoint == "demo":
        model, clip, vae = DEMO_FAMILIES[files.family].load()
    elif files.checkpoint:
        model, clip, vae = comfy.sd.load_checkpoint_guess_config(files.checkpoint, output_vae=True, output_clip=True)[:3]
    if files.unet:
        model = comfy.sd.load_diffusion_model(files.unet)
    if files.clip:
        clip = comfy.sd.load_clip(list(files.clip), clip_type=comfy.sd.CLIPType[BY_KEY[files.family].clip_type.upper()])
    if files.vae:
        vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(files.vae))
    for part, loaded in (("unet", model), ("clip", clip), ("vae", vae)):
        if loaded is None:
            raise ValueError(f"There is no {part} in {files.checkpoint or 'what was given'}: add --{part}.")
    if family_of(model).key != files.family:
        raise ValueError(f"The model is of {family_of(model).name}: give its --family.")
    return model, clip, vae


def depth_of(model) -> int:
    """How many blocks have a concept output."""
    return family_of(model).depth
