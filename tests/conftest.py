import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dev"))

import in_comfyui  # noqa: E402, F401
