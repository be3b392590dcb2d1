"""Run the demo or the tests: `python run.py demo`, `python run.py test`. Both set up all they need in .dev/.

Needs Python 3.11 or newer. To use a ComfyUI of your own, set COMFYUI_PATH to its folder and run this with its Python.
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "dev"))

import environment  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["demo", "test"])
    args, rest = parser.parse_known_args()
    python, variables = environment.prepare(test_tools=args.job == "test")
    script = environment.ROOT / "dev" / {"demo": "demo.py", "test": "run_tests.py"}[args.job]
    try:
        return subprocess.call([python, script, *rest], cwd=environment.ROOT, env=variables)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
