"""Run pytest from the folder that TEST_TOOLS names: some Pythons that come with ComfyUI ignore PYTHONPATH."""

import os
import sys

sys.path.append(os.environ["TEST_TOOLS"])

import pytest  # noqa: E402

sys.exit(pytest.main(sys.argv[1:]))
