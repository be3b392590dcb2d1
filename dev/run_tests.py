"""Run pytest with the tools in the folders that three variables name: some Pythons that come with ComfyUI ignore PYTHONPATH.

Several processes of one thread each are quicker than one of several, where another process can find the tools.
"""

import os
import sys
from pathlib import Path

PROCESSES = 3  # for two cores: one that waits for a server or a browser leaves its core to the others

tools = [os.environ[name] for name in ("TEST_TOOLS", "EVALUATION_TOOLS", "NOTEBOOK_TOOLS")]
sys.path += tools
os.environ["PYTHONPATH"] = os.pathsep.join([*tools, *filter(None, [os.environ.get("PYTHONPATH")])])

import pytest  # noqa: E402


def processes(options: list[str]) -> int:
    """No more than the files that are named: each has to import ComfyUI."""
    named = {Path(option.split("::")[0]) for option in options if not option.startswith("-")}
    files = sum(path.is_file() for path in named)
    return min(PROCESSES, files) if files and not any(path.is_dir() for path in named) else PROCESSES


options = sys.argv[1:]
if os.name != "nt" and (os.cpu_count() or 1) > 1 and processes(options) > 1:
    options = ["-n", str(processes(options)), "--dist", "loadfile", "--no-loadscope-reorder", *options]
sys.exit(pytest.main(options))
