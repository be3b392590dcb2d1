"""Maps and recordings as .safetensors files: numbers as tensors, all else as JSON in the metadata."""

import json
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..concepts.concepts import Concepts
from ..maps.maps import Maps
from ..recording.half_precision import HALF_PRECISION_FROM, HalfPrecisionStep
from ..recording.recording import Recording, Run
from ..recording.vectors import free_on_host
from .schemas import MAPS, RECORDING, SCHEDULE, VECTORS, About, AboutMaps, AboutRecording, Unfit, short_of
from .tensor_files import TensorFile, open_tensors

OF_MAPS = ("names", "num_shown", "softmaxed", "image_size", "pixels_per_token", "frames_per_latent")
OF_RUN = ("size", "grid", "image_size", "skip_reason")
OF_RECORDING = (
    "spaces", "depth", "pixels_per_token", "frames_per_latent", "normalises_concepts", "attends_to", "kept_blocks", "recipe", "summed",
    "single_blocks",
)  # fmt: skip
IN_FILES = {"num_shown": "shown", "softmaxed": "shares", "skip_reason": "missed"}  # names of fields that were once called otherwise
OF_SAMPLING = ("sigmas", "schedule", "samples", "token_share")
PERCENTS = np.arange(SCHEDULE) / (SCHEDULE - 1)  # the steps of the widgets


def save_maps(maps: Maps, path: Path) -> None:
    """`maps` [B, C, h, w] float32; the rest in the metadata. ValueError for NaN or infinity, and where it cannot be written."""
    about = _fields(maps, OF_MAPS)
    _save({"maps": maps.values.contiguous()}, path, MAPS, about)


def load_maps(path: Path) -> Maps:
    """The maps in a file, bit for bit as saved. ValueError if it is none, is cut short or holds something else."""
    with _opened(path, AboutMaps) as (file, about):
        values = file.read("maps").float()
        about.check_numbers(values)
    return Maps(values=values, **{field: getattr(about, field) for field in OF_MAPS})


def save_recording(recording: Recording, samples: Tensor, path: Path) -> None:
    """The run that made these samples [B, channels, (t,) h, w], for their pictures or clips.

    `scores.<space>` [steps, blocks, B, C, N] float32, `sigmas` [steps], highest first, `schedule` [1001], the sigma at each
    thousandth of the schedule, `token_weights` [C, T] and `samples`; names, grid and sizes in the metadata. Where vectors were
    kept, `concept_vectors` [calls, blocks, B, T, D], `image_vectors` [calls, blocks, B, N, D] in 16 bit and `vector_sigmas`
    [calls]. ValueError if there is no such run, nothing is recorded in it, its vectors had to go, or it cannot be written.
    """
    run, rows = recording.run_of(samples)
    if run.abort_reason or not run.steps:
        raise ValueError(
            f"This sampling has no scores: {run.abort_reason or run.skip_reason or 'no step was recorded'}. There is nothing to save."
        )
    sigmas = sorted(run.steps, reverse=True)
    tensors = {f"scores.{space}": torch.stack([run.steps[sigma][space][:, rows] for sigma in sigmas]) for space in run.steps[sigmas[0]]}
    tensors["sigmas"] = torch.tensor(sigmas, dtype=torch.float64)
    tensors["schedule"] = torch.tensor([float(run.percent_to_sigma(percent)) for percent in PERCENTS], dtype=torch.float64)
    tensors["samples"] = samples.detach().cpu().contiguous()
    concepts = recording.concepts
    tensors["token_share"] = concepts.token_weights.contiguous()
    tensors |= _vectors_to_save(run, rows)
    about = _fields(recording, OF_RECORDING) | _fields(run, OF_RUN)
    about |= {"size": short_of(run.size), "grid": short_of(run.grid)}
    about |= {"names": concepts.names, "shown": concepts.num_shown, "encoder": concepts.encoder}
    about["default_blocks"] = (recording.default_blocks.start, recording.default_blocks.stop)
    _save(tensors, path, RECORDING, about)


def _fields(of, names: tuple[str, ...]) -> dict:
    return {IN_FILES.get(name, name): getattr(of, name) for name in names}


def _vectors_to_save(run, rows):
    if run.vectors_gone:
        raise ValueError(
            f"This sampling's vectors are gone: {run.vectors_gone}. Save one sampling before the next and keep fewer blocks, or leave "
            "keep_vectors empty and sample again to save the scores alone."
        )
    if not run.vectors:
        return {}
    needed, free = 2 * run.vector_nbytes, free_on_host()
    if needed > free:
        raise ValueError(f"Writing the vectors takes {needed / 1e9:.1f} GB of RAM, and {free / 1e9:.1f} GB are free: make room.")
    concepts, image = (torch.stack([getattr(vectors, part)[:, rows] for vectors in run.vectors]) for part in ("concepts", "image"))
    sigmas = torch.tensor([vectors.sigma for vectors in run.vectors], dtype=torch.float64)
    return dict(zip(VECTORS, (concepts, image, sigmas)))


def load_recording(path: Path) -> tuple[Recording, Tensor]:
    """(recording, samples) to decode as if they were just sampled; vectors stay in the file. ValueError as load_maps."""
    with _opened(path, AboutRecording) as (file, about):
        tensors = {name: file.read(name) for name in OF_SAMPLING if name in file.tensors}
        about.check_numbers(tensors)
        steps = dict(zip(tensors["sigmas"].tolist(), _steps(file, about)))
    return _recording(about, tensors, steps), tensors["samples"]


def check_recording(path: Path):
    """ValueError if it is none, or holds what does not fit together, without reading its numbers."""
    with _opened(path, AboutRecording):
        pass


def digest_of(path: Path) -> str:
    """It follows from all that a load reads. ValueError if it cannot be read as .safetensors."""
    with open_tensors(path) as file:
        return file.digest(but=VECTORS)


def _steps(file: TensorFile, about: AboutRecording):
    """space → scores [blocks, B, C, N] of each step, read and packed one at a time."""
    numbers = sum(file.tensors[name].numbers for name in about.scores)
    for row in range(file.tensors["sigmas"].numbers):
        scores = {name: file.read(name, row).float() for name in about.scores}
        for name in scores:
            about.check_scores(name, scores[name])
        step = {name.removeprefix("scores."): scores[name] for name in scores}
        yield HalfPrecisionStep(step) if numbers * torch.float32.itemsize > HALF_PRECISION_FROM else step


def _recording(about: AboutRecording, tensors, steps):
    schedule = tensors["schedule"].double().numpy()
    run = Run(
        batch=len(tensors["samples"]),
        percent_to_sigma=lambda percent: float(np.interp(percent, PERCENTS, schedule)),
        latents=[tensors["samples"]],
        steps=steps,
        **{field: getattr(about, field) for field in OF_RUN},
    )
    if about.kept_blocks:
        run.vectors_gone = "they are in the file that it was loaded from, and nowhere else"
    share = tensors.get("token_share", torch.zeros(0, 0)).float()
    return Recording(
        concepts=Concepts(about.names, about.num_shown, about.encoder, torch.zeros(0, 0), share),
        default_blocks=range(*about.default_blocks),
        runs=[run],
        **{field: getattr(about, field) for field in OF_RECORDING},
    )


def _save(tensors, path, kind, about):
    try:
        save_file(tensors, path, metadata={kind: json.dumps(about, default=asdict)})
    except (SafetensorError, OSError) as error:
        raise ValueError(f"The file could not be written ({error}): make room where ComfyUI saves, and queue again.") from error


@contextmanager
def _opened(path: Path, schema: type[About]):
    """(file, what its metadata say), the header checked. ValueErrors name the file."""
    with open_tensors(path) as file:
        if schema.key not in file.metadata:
            raise ValueError(f"{path.name} holds no {schema.what}")
        try:
            about = schema.of(file.metadata[schema.key])
            about.check_shapes(file.tensors)
            yield file, about
        except Unfit as error:
            raise ValueError(f"{path.name}: {error}: save it again.") from error
