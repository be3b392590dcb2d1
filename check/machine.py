"""Versions and device, and nothing that tells whose they are."""

import platform
from pathlib import Path

import comfy.model_management as management
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfyui_version import __version__ as comfyui

from .measure import what_is_measured

GIB = 1 << 30


def machine() -> dict[str, str]:
    device = management.get_torch_device()
    return {
        "Concept Attention": version(),
        "ComfyUI": comfyui,
        "PyTorch": torch.__version__,
        "Python": platform.python_version(),
        "system": f"{platform.system()}, {platform.machine()}",
        "device": name_of(device),
        **({} if device.type == "cpu" else {"its memory": f"{management.get_total_memory(device) / GIB:.1f} GiB"}),
        "RAM": f"{management.get_total_memory(torch.device('cpu')) / GIB:.1f} GiB",
        "memory mode": management.vram_state.name,
        "attention": optimized_attention.__name__.removeprefix("attention_"),
        "threads": str(torch.get_num_threads()),
        "peaks are of": what_is_measured(),
    }


def name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "xpu":
        return torch.xpu.get_device_name(device)
    return {"cpu": "processor", "mps": "Apple GPU"}.get(device.type, device.type)


def version() -> str:
    """As pyproject.toml has it; Python 3.10 has no parser for that."""
    text = Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8")
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("version = "))
