"""Run the benchmark in ComfyUI's environment: see benchmark/command.py."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # some Pythons that come with ComfyUI do not
if "--gpu" in sys.argv:
    os.environ["ON_GPU"] = "1"

import in_comfyui  # noqa: E402, F401

# isort: split
from concept_attention.benchmark.command import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
