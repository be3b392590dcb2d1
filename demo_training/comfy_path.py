"""Import this first: ComfyUI and this repository become importable (see dev/in_comfyui.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "dev"))

import in_comfyui  # noqa: E402, F401
