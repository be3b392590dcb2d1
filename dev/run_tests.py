"""Run pytest with the tools in the folders that two variables name: some Pythons that come with ComfyUI ignore PYTHONPATH.

Two processes of one thread each are quicker than one of two, where a second process can find the tools.
"""

import os
import sys

tools = [os.environ["TEST_TOOLS"], os.environ["EVALUATION_TOOLS"]]
sys.path += tools
os.environ["PYTHONPATH"] = os.pathsep.join([*tools, *filter(None, [os.environ.get("PYTHONPATH")])])

import pytest  # noqa: E402

options = sys.argv[1:]
chosen = [option for option in options if not option.startswith("-") and "::" in option]
if os.name != "nt" and (os.cpu_count() or 1) > 1 and not chosen:
    options = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *options]
sys.exit(pytest.main(options))
