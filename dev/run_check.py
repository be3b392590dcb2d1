"""Run the report card with the ComfyUI that COMFYUI_PATH names: see check/command.py."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # some Pythons that come with ComfyUI do not
sys.path.insert(0, os.environ["COMFYUI_PATH"])

import pack  # noqa: E402, F401

# isort: split
from concept_attention.check.command import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
