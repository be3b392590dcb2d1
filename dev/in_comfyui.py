"""Import this first, in a script or test that runs inside ComfyUI's environment.

It puts the ComfyUI that COMFYUI_PATH names on the path, on the CPU unless ON_GPU is set, and imports this repository the way
ComfyUI imports a custom node, as the package `concept_attention`.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _start():
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    import comfy.cli_args

    comfy.cli_args.args.cpu = not os.environ.get("ON_GPU")
    spec = importlib.util.spec_from_file_location("concept_attention", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)


if "concept_attention" not in sys.modules:
    _start()
