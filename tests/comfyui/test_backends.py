"""ComfyUI's attention back ends, chosen by its own command-line flags in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTIONS = {
    "use_split_cross_attention": "attention_split",
    "use_quad_cross_attention": "attention_sub_quad",
    "use_pytorch_cross_attention": "attention_pytorch",
}
PROGRAM = """
import sys
sys.path.insert(0, {comfyui!r})
sys.path += {path!r}
import comfy.cli_args
setattr(comfy.cli_args.args, {flag!r}, True)
import pytest
code = pytest.main(["-q", "tests/comfyui/test_flux_stream.py", "tests/comfyui/test_sd3_stream.py", "-k", "restatement"])
import comfy.ldm.modules.attention
print(comfy.ldm.modules.attention.optimized_attention.__name__)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def processes():
    """One for each flag, at the same time."""
    started = {}
    for flag in FUNCTIONS:
        program = PROGRAM.format(comfyui=os.environ["COMFYUI_PATH"], path=sys.path, flag=flag)
        started[flag] = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    yield started
    for process in started.values():
        process.kill()


@pytest.mark.long
@pytest.mark.parametrize("flag", FUNCTIONS)
def test_scores_agree_with_a_plain_restatement(flag, processes):
    said, _ = processes[flag].communicate()
    assert processes[flag].returncode == 0 and "7 passed" in said, said
    assert said.split()[-1] == FUNCTIONS[flag]
