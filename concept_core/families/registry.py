"""The model families there are. A new one is a file here and a line in FAMILIES."""

from .chroma import Chroma
from .cogvideox import CogVideoX
from .cosmos import Anima, CosmosPredict2
from .family import Family
from .flux import Flux1
from .flux2 import Flux2
from .hunyuan import HunyuanImage, HunyuanVideo, HunyuanVideo15
from .krea2 import Krea2
from .longcat_image import LongCatImage
from .ltx import LTXVideo
from .ovis_image import OvisImage
from .qwen_image import QwenImage
from .sd3 import SD3
from .unet import SD2, SD15, SDXL
from .wan import Wan
from .z_image import Lumina2, ZImage

FAMILIES: list[type[Family]] = [
    Flux1,
    SD3,
    Flux2,
    QwenImage,
    Chroma,
    OvisImage,
    LongCatImage,
    HunyuanImage,
    ZImage,
    Lumina2,
    Krea2,
    SD15,
    SD2,
    SDXL,
    Anima,
    CosmosPredict2,
    CogVideoX,
    HunyuanVideo,
    HunyuanVideo15,
    Wan,
    LTXVideo,
]

# What a family that is not there yet lacks, by the class of its network.
NOT_YET = {
    "LTXAVModel": "LTX-2 makes sound with the clip: its latent holds both, and its network changes the text before its blocks read it. "
    "Concept Attention cannot record that yet. For maps of a clip use LTX-Video, Wan, HunyuanVideo or CogVideoX.",
}

BY_KEY = {family.key: family for family in FAMILIES}


def family_of(model) -> Family:
    """A ComfyUI MODEL as one of its family; ValueError names the model's class and the families there are."""
    for family in FAMILIES:
        if family.matches(model):
            return family(model)
    kind, variant = type(model.model).__name__, type(model.get_model_object("diffusion_model")).__name__
    if variant in NOT_YET:
        raise ValueError(NOT_YET[variant])
    raise ValueError(f"Concept Attention does not know the model family {kind} (network {variant}). Supported: {supported()}.")


def supported() -> str:
    return ", ".join(family.name for family in FAMILIES)


def clip_hints() -> str:
    return " ".join(dict.fromkeys(family.clip_hint for family in FAMILIES))
