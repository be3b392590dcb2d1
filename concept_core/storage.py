"""Maps and recordings as .safetensors files: numbers as tensors, all else as JSON in the metadata."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .concepts import Concepts
from .maps import Maps
from .recording import Recording, Run
from .vectors import free_on_host

MAPS, RECORDING = "concept_attention.maps", "concept_attention.recording"
OF_MAPS = ("names", "shown", "shares", "image_size", "pixels_per_token")
OF_RUN = ("size", "grid", "image_size", "missed")
OF_RECORDING = ("spaces", "depth", "pixels_per_token", "normalises_concepts", "attends_to", "kept_blocks")
VECTORS = ("concept_vectors", "image_vectors", "vector_sigmas")
NO_RECORDING = "recording: choose a file that Save Concept Recording has written."
PERCENTS = np.arange(1001) / 1000  # the steps of the widgets


def save_maps(maps: Maps, path: Path):
    """`maps` [B, C, h, w] float32; the rest in the metadata."""
    about = {field: getattr(maps, field) for field in OF_MAPS}
    save_file({"maps": maps.values.contiguous()}, path, metadata={MAPS: json.dumps(about)})


def load_maps(path: Path) -> Maps:
    """The maps in a file, bit for bit as saved. ValueError if it is none, is cut short or holds something else."""
    about, tensors = _load(path, MAPS, "concept maps: choose a file that Save Concept Maps has written.")
    return _built(path, lambda: Maps(values=tensors["maps"].float(), **{field: _tuples(about[field]) for field in OF_MAPS}))


def save_recording(recording: Recording, samples: Tensor, path: Path):
    """The run that made these samples [B, channels, h, w], for their pictures.

    `scores.<space>` [steps, blocks, B, C, N] float32, `sigmas` [steps], highest first, `schedule` [1001], the sigma at each
    thousandth of the schedule, `token_share` [C, T] and `samples`; names, grid and sizes in the metadata. Where vectors were
    kept, `concept_vectors` [calls, blocks, B, T, D], `image_vectors` [calls, blocks, B, N, D] in 16 bit and `vector_sigmas`
    [calls]. ValueError if there is no such run, nothing is recorded in it, or its vectors had to go.
    """
    run, rows = recording.run_of(samples)
    if run.given_up or not run.steps:
        raise ValueError(f"This sampling has no scores: {run.given_up or run.missed or 'no step was recorded'}. There is nothing to save.")
    sigmas = sorted(run.steps, reverse=True)
    tensors = {f"scores.{space}": torch.stack([run.steps[sigma][space][:, rows] for sigma in sigmas]) for space in run.steps[sigmas[0]]}
    tensors["sigmas"] = torch.tensor(sigmas, dtype=torch.float64)
    tensors["schedule"] = torch.tensor([float(run.percent_to_sigma(percent)) for percent in PERCENTS], dtype=torch.float64)
    tensors["samples"] = samples.detach().cpu().contiguous()
    concepts = recording.concepts
    tensors["token_share"] = concepts.token_share.contiguous()
    tensors |= _vectors_to_save(run, rows)
    about = {field: getattr(recording, field) for field in OF_RECORDING} | {field: getattr(run, field) for field in OF_RUN}
    about |= {"names": concepts.names, "shown": concepts.shown, "encoder": concepts.encoder}
    about["default_blocks"] = (recording.default_blocks.start, recording.default_blocks.stop)
    save_file(tensors, path, metadata={RECORDING: json.dumps(about)})


def _vectors_to_save(run, rows):
    if run.vectors_gone:
        raise ValueError(
            f"This sampling's vectors are gone: {run.vectors_gone}. Save one sampling before the next and keep fewer blocks, or leave "
            "keep_vectors empty and sample again to save the scores alone."
        )
    if not run.vectors:
        return {}
    needed, free = 2 * run.vector_bytes, free_on_host()
    if needed > free:
        raise ValueError(f"Writing the vectors takes {needed / 1e9:.1f} GB of RAM, and {free / 1e9:.1f} GB are free: make room.")
    concepts, image = (torch.stack([getattr(vectors, part)[:, rows] for vectors in run.vectors]) for part in ("concepts", "image"))
    sigmas = torch.tensor([vectors.sigma for vectors in run.vectors], dtype=torch.float64)
    return dict(zip(VECTORS, (concepts, image, sigmas)))


def load_recording(path: Path) -> tuple[Recording, Tensor]:
    """(recording, samples) to decode as if they were just sampled; vectors stay in the file. ValueError as load_maps."""
    about, tensors = _load(path, RECORDING, NO_RECORDING)
    return _built(path, lambda: (_recording(about, tensors), tensors["samples"]))


def check_recording(path: Path):
    """ValueError if it is none, without reading its numbers."""
    _load(path, RECORDING, NO_RECORDING, tensors=False)


def _recording(about, tensors):
    schedule = tensors["schedule"].numpy()
    run = Run(
        batch=len(tensors["samples"]),
        percent_to_sigma=lambda percent: float(np.interp(percent, PERCENTS, schedule)),
        latents=[tensors["samples"]],
        **{field: _tuples(about[field]) for field in OF_RUN},
    )
    spaces = [name for name in tensors if name.startswith("scores.")]
    for index, sigma in enumerate(tensors["sigmas"].tolist()):
        run.steps[sigma] = {space.removeprefix("scores."): tensors[space][index] for space in spaces}
    run.settle()
    if about.get("kept_blocks"):
        run.vectors_gone = "they are in the file that it was loaded from, and nowhere else"
    share = tensors.get("token_share", torch.zeros(0, 0))
    return Recording(
        concepts=Concepts(tuple(about["names"]), about["shown"], about["encoder"], torch.zeros(0, 0), share),
        default_blocks=range(*about["default_blocks"]),
        runs=[run],
        **{field: _tuples(about[field]) for field in OF_RECORDING if field in about},
    )


def _load(path, kind, hint, tensors=True):
    """(metadata, tensors) of a file of that kind."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get(kind, "null"))
            wanted = [name for name in file.keys() if name not in VECTORS] if about and tensors else []
            read = {name: file.get_tensor(name) for name in wanted}
    except json.JSONDecodeError:
        about = None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read as .safetensors ({error}). Save it again, or copy the whole file.") from error
    if not about:
        raise ValueError(f"{path.name} holds no {hint}")
    return about, read


def _built(path, build):
    try:
        return build()
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path.name} lacks a part, or holds one of another kind ({error}): save it again.") from error


def _tuples(value):
    return tuple(value) if isinstance(value, list) else value
