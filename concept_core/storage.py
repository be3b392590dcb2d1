"""Maps in a .safetensors file: `maps` [B, C, h, w] float32, the rest in the metadata."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .maps import Maps

FORMAT = "concept_attention.maps"
ABOUT = ("names", "shown", "shares", "image_size", "pixels_per_token")


def save_maps(maps: Maps, path: Path):
    about = {field: getattr(maps, field) for field in ABOUT}
    save_file({"maps": maps.values.contiguous()}, path, metadata={FORMAT: json.dumps(about)})


def load_maps(path: Path) -> Maps:
    """The maps in a file, bit for bit as saved. ValueError if it is none, is cut short or holds something else."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[FORMAT])
            values = file.get_tensor("maps").float()
        fields = {field: tuple(value) if isinstance(value, list) else value for field, value in about.items() if field in ABOUT}
        return Maps(values=values, **fields)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path.name} holds no concept maps: choose a file that Save Concept Maps has written.") from error
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read as .safetensors ({error}). Save the maps again, or copy the whole file.") from error
