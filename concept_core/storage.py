"""Maps in a .safetensors file: `maps` [B, C, h, w] float32, the rest in the metadata."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .maps import Maps

FORMAT = "concept_attention.maps"


def save_maps(maps: Maps, path: Path):
    about = asdict(maps)
    del about["values"]
    save_file({"maps": maps.values.contiguous()}, path, metadata={"format": FORMAT, FORMAT: json.dumps(about)})


def load_maps(path: Path) -> Maps:
    """The maps in a file, bit for bit as saved. ValueError if it is none, is cut short or holds something else."""
    try:
        with safe_open(path, framework="pt") as file:
            about = (file.metadata() or {}).get(FORMAT)
            values = file.get_tensor("maps") if about else None
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read as .safetensors ({error}). Save the maps again, or copy the whole file.") from error
    if about is None:
        raise ValueError(f"{path.name} holds no concept maps: choose a file that Save Concept Maps has written.")
    about = json.loads(about)
    return Maps(**{**about, "values": values, "names": tuple(about["names"]), "image_size": tuple(about["image_size"])})
