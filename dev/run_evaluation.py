"""Run the evaluation in ComfyUI's environment: see evaluation/command.py."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # some Pythons that come with ComfyUI do not
sys.path.append(os.environ["EVALUATION_TOOLS"])

import in_comfyui  # noqa: E402, F401

# isort: split
from concept_attention.evaluation.command import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
