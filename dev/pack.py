"""Imports this repository the way ComfyUI imports a custom node, as the package `concept_attention`; nothing of ComfyUI with it."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

if "concept_attention" not in sys.modules:
    spec = importlib.util.spec_from_file_location("concept_attention", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    sys.modules["concept_attention"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["concept_attention"])
