"""Ray's own command in the environment that the evaluation runs in, to make a cluster of several machines: docs/evaluation.md."""

import os
import subprocess
import sys
from pathlib import Path

os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent / "ray_path"), *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
sys.exit(subprocess.call([sys.executable, "-m", "ray.scripts.scripts", *sys.argv[1:]]))
