"""What lies in ComfyUI's model folders: models of known families, told by their headers, and what else they need.

Of a file its header is read, and its tensors of one number or one short row; nothing of it stays open.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import comfy.model_detection
import comfy.model_patcher
import comfy.sd
import comfy.utils
import folder_paths
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..concept_core.families.registry import family_of
from .parts import BY_WIDTH, OF_FAMILY, Encoder, Parts

READABLE = (".safetensors", ".sft")
SHORT = 1 << 15  # numbers of a tensor that is read
TEXT_OF_CHECKPOINTS = ("cond_stage_model.", "conditioner.embedders.", "text_encoders.")
UMT5_WORDS = 100_000  # umT5's vocabulary is larger, and the rest is as T5's
DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "U8": torch.uint8, "I8": torch.int8}
DTYPES |= {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32, "BOOL": torch.bool}


@dataclass
class Model:
    """A file with a diffusion model in it. family: its key; name: the family's, for people. width: of a concept token's embedding.

    has_text, has_vae: whether they are in the same file. why_not: why it cannot be run, if it cannot. encoders, vae: files to load with it.
    """

    file: Path
    is_checkpoint: bool
    family: str = ""
    name: str = ""
    width: int = 0
    channels: int = 0
    has_text: bool = False
    has_vae: bool = False
    why_not: str = ""
    encoders: list[Path] = field(default_factory=list)
    vae: Path | None = None

    @property
    def parts(self) -> Parts:
        return OF_FAMILY[self.family]


def models_there() -> Iterator[Model]:
    """Every file of the folders of checkpoints and diffusion models, with what goes with it or why it cannot be run."""
    encoders, vaes = list(text_encoders_there()), listed("vae")
    for folder in ("checkpoints", "diffusion_models"):
        for file in listed(folder):
            model = look_at(file, folder == "checkpoints")
            if not model.why_not:
                match_parts(model, encoders, vaes)
            yield model


def listed(folder: str) -> list[Path]:
    """Files of a kind in all its folders, by name."""
    paths = (folder_paths.get_full_path(folder, name) for name in folder_paths.get_filename_list(folder))
    return sorted({Path(path) for path in paths if path}, key=lambda path: (path.name.lower(), path))


def look_at(file: Path, is_checkpoint: bool) -> Model:
    """Its family by ComfyUI's own detection and this pack's own classes, on a network without numbers."""
    model = Model(file, is_checkpoint)
    if file.suffix.lower() not in READABLE:
        model.why_not = f"only .safetensors files are looked into, and this is {file.suffix or 'none'}"
        return model
    try:
        with quiet():
            numbers, metadata = header_of(file)
            config, kept = config_of(numbers, metadata)
            if config is None:
                model.why_not = "ComfyUI does not know what model it is"
                return model
            inner = config.get_model(kept, "", device=torch.device("meta"))
            cpu = torch.device("cpu")
            family = family_of(comfy.model_patcher.ModelPatcher(inner, load_device=cpu, offload_device=cpu))
    except (SafetensorError, OSError) as error:
        model.why_not = f"it cannot be read ({error})"
        return model
    except Exception as error:  # of ComfyUI's detection, which meets whatever lies there; and of families that are not supported
        model.why_not = f"{error or type(error).__name__}"
        return model
    model.family, model.name, model.width = family.key, family.name, family.embedding_width
    model.channels = family.latent_format.latent_channels
    model.has_text = is_checkpoint and any(name.startswith(TEXT_OF_CHECKPOINTS) for name in numbers)
    model.has_vae = is_checkpoint and any(name.startswith(tuple(config.vae_key_prefix)) for name in numbers)
    return model


def config_of(numbers: dict[str, Tensor], metadata):
    """(ComfyUI's configuration or None, the network's own tensors), as its loader of diffusion models finds them."""
    prefix = comfy.model_detection.unet_prefix_from_state_dict(numbers)
    own = comfy.utils.state_dict_prefix_replace(dict(numbers), {prefix: ""}, filter_keys=True) or numbers
    config = comfy.model_detection.model_config_from_unet(own, "", metadata=metadata)
    if config is not None:
        return config, own
    converted = comfy.model_detection.convert_diffusers_mmdit(own, "")
    if converted is not None:
        return comfy.model_detection.model_config_from_unet(converted, ""), converted
    return comfy.model_detection.model_config_from_diffusers_unet(own), {}


def header_of(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(name → tensor, metadata): tensors without numbers, but for those that are short."""
    numbers = {}
    with safe_open(os.fspath(file), "pt") as opened:
        for name in opened.keys():
            stored = opened.get_slice(name)
            shape = stored.get_shape()
            if len(shape) < 2 and sum(shape) <= SHORT:
                numbers[name] = opened.get_tensor(name)
            else:
                numbers[name] = torch.empty(shape, dtype=DTYPES.get(stored.get_dtype(), torch.uint8), device="meta")
        return numbers, opened.metadata() or {}


@contextmanager
def quiet():
    """ComfyUI logs what it does not know, which here is most files."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def text_encoders_there() -> Iterator[tuple[str, Path]]:
    """(ComfyUI's name of its kind, file)"""
    for file in listed("text_encoders"):
        kind = kind_of_encoder(file)
        if kind:
            yield kind, file


def kind_of_encoder(file: Path) -> str:
    """A name of comfy.sd.TEModel, or UMT5_XXL, which ComfyUI loads as T5_XXL; "" for all else."""
    if file.suffix.lower() not in READABLE:
        return ""
    try:
        with quiet():
            numbers, _ = header_of(file)
            kind = comfy.sd.detect_te_model(numbers)
    except Exception:  # of a broken file, or of one that only looks like a text encoder
        return ""
    if kind is None:
        return ""
    words = numbers.get("shared.weight")
    return "UMT5_XXL" if kind.name == "T5_XXL" and words is not None and words.shape[0] > UMT5_WORDS else kind.name


def match_parts(model: Model, encoders: list[tuple[str, Path]], vaes: list[Path]):
    """Choose its text encoders and VAE, or say what is missing."""
    missing = []
    if not model.has_text:
        needed = needed_encoders(model)
        for encoder in (*needed, *model.parts.optional):
            fit = [file for kind, file in encoders if kind in encoder.kinds]
            fit.sort(key=lambda file: file.name.lower() != encoder.file)
            if fit:
                model.encoders.append(fit[0])
            elif encoder in needed:
                missing.append(f"the text encoder {encoder.name} ({encoder.file} in ComfyUI's templates)")
    if not model.has_vae and model.channels != 3:
        model.vae = next((file for file in vaes if model.parts.vae.is_called(file.name) and fits(file, model.channels)), None)
        if model.vae is None:
            missing.append(f"its VAE ({model.parts.vae.file} in ComfyUI's templates)")
    if missing:
        model.why_not = f"missing: {' and '.join(missing)}"


def needed_encoders(model: Model) -> tuple[Encoder, ...]:
    return BY_WIDTH.get(model.width, model.parts.encoders) if model.family == "flux2" else model.parts.encoders


def fits(vae: Path, channels: int) -> bool:
    """Whether a VAE makes latents of so many channels, as far as its header tells."""
    if vae.suffix.lower() not in READABLE:
        return False
    try:
        numbers, _ = header_of(vae)
    except (SafetensorError, OSError):
        return False
    first = next((numbers[name] for name in FIRST_OF_DECODERS if name in numbers), None)
    if first is None:
        return True
    return first.shape[1] * (4 if "bn.running_mean" in numbers else 1) == channels


FIRST_OF_DECODERS = ("decoder.conv_in.weight", "decoder.conv_in.conv.weight", "decoder.conv1.weight")
