"""Data that the authors' own code has computed, in tests/golden/."""

import json
from pathlib import Path

from safetensors import safe_open


def reference(name: str) -> dict:
    """Its tensors, and what its metadata say."""
    with safe_open(Path(__file__).parent / "golden" / f"{name}_reference.safetensors", framework="pt") as file:
        return json.loads(file.metadata()["config"]) | {name: file.get_tensor(name) for name in file.keys()}
