"""Import this first, in a script or test that runs inside ComfyUI's environment.

It puts the ComfyUI that COMFYUI_PATH names on the path, on the CPU unless ON_GPU is set, and imports this repository the way
ComfyUI imports a custom node, as the package `concept_attention`.
"""

import os
import sys

sys.path.insert(0, os.environ["COMFYUI_PATH"])

import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = not os.environ.get("ON_GPU")

import pack  # noqa: E402, F401
