"""Run pytest with the tools in the folders that two variables name: some Pythons that come with ComfyUI ignore PYTHONPATH."""

import os
import sys

sys.path += [os.environ["TEST_TOOLS"], os.environ["EVALUATION_TOOLS"]]

import pytest  # noqa: E402

sys.exit(pytest.main(sys.argv[1:]))
