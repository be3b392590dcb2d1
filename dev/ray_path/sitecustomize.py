"""Read by every Python that Ray starts, since this folder is on their PYTHONPATH: Ray itself is found behind all that is installed.

The tools hold a NumPy and more that ComfyUI has in a version of its own, so their folder must not come first, as it would on PYTHONPATH.
"""

import os
import sys
from pathlib import Path

sys.path += [os.environ["EVALUATION_TOOLS"], str(Path(__file__).parents[1])]
