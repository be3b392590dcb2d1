"""Run one of the evaluation's commands in ComfyUI's environment: see evaluation/command.py and evaluation/annotate.py."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # some Pythons that come with ComfyUI do not
sys.path.append(os.environ["EVALUATION_TOOLS"])

import in_comfyui  # noqa: E402, F401

# isort: split
from concept_attention.evaluation import annotate, command  # noqa: E402

job, *arguments = sys.argv[1:]
sys.exit({"evaluate": command, "annotate": annotate}[job].main(arguments))
