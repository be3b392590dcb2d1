"""Concept attention as a library, on ComfyUI and without its server or these nodes: docs/python.md.

What stands in __all__ is public, and its names stay; all else may change. ComfyUI is imported with the first name that needs it.
"""

from typing import TYPE_CHECKING, Any

from ..concepts.concepts import Concepts
from ..draw.heatmaps import heatmaps
from ..draw.segmentation import segment
from ..maps.decode import decode
from ..maps.maps import Maps
from ..masks.boxes import Detection, detections
from ..masks.instances import Instance, instances
from ..masks.masks import masks
from ..recording.recording import Recording
from ..storage.files import load_maps, load_recording, save_maps, save_recording

if TYPE_CHECKING:
    from .on_comfyui import (
        Loaded,
        decode_latent,
        empty_latent,
        encode_concepts,
        encode_image,
        encode_pictures,
        encode_prompt_words,
        encode_text,
        load_model,
        record_concepts,
        sample,
        supported,
    )

__all__ = [
    "Concepts",
    "Detection",
    "Instance",
    "Loaded",
    "Maps",
    "Recording",
    "decode",
    "decode_latent",
    "detections",
    "empty_latent",
    "encode_concepts",
    "encode_image",
    "encode_pictures",
    "encode_prompt_words",
    "encode_text",
    "heatmaps",
    "instances",
    "load_maps",
    "load_model",
    "load_recording",
    "masks",
    "record_concepts",
    "sample",
    "save_maps",
    "save_recording",
    "segment",
    "supported",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from . import on_comfyui

    return getattr(on_comfyui, name)
