"""Run the demo, the tests, a report card, an evaluation or a benchmark. They set up all they need in .dev/.

    python run.py demo              paints with the demo model and leaves pictures and maps in demo_output/
    python run.py test              all tests with the newest ComfyUI, then with the oldest those that need it and are not long
    python run.py test --every      with each supported version, the cases that are spared else, and the newest front end
    python run.py test PYTEST ...   what is given to pytest, with the newest
    python run.py check ...         a report card for the models in a ComfyUI; with --help it says more
    python run.py evaluate ...      judges concept maps against label masks; with --help it says more
    python run.py benchmark ...     what the nodes cost; with --help it says more

Needs Python 3.11 or newer. To use a ComfyUI of your own, set COMFYUI_PATH to its folder and run this with its Python.
"""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "dev"))

import environment  # noqa: E402

IN_COMFYUI = ["tests/live", "tests/comfyui", "tests/golden"]
WRITE_WHERE_THE_USER_IS = ("check", "evaluate")
JOBS = {  # each one's script, and the tools that it needs
    "demo": ("demo.py", []),
    "test": ("run_tests.py", ["TEST_TOOLS", "EVALUATION_TOOLS", "NOTEBOOK_TOOLS"]),
    "check": ("run_check.py", []),
    "evaluate": ("run_evaluation.py", ["EVALUATION_TOOLS"]),
    "benchmark": ("run_benchmark.py", []),
}


def main():
    job, *options = sys.argv[1:] or [""]
    if job not in JOBS:
        sys.exit(__doc__)
    try:
        return test(options) if job == "test" else run(job, options)
    except KeyboardInterrupt:
        return 130


def test(options):
    if "COMFYUI_PATH" in os.environ and options == ["--every"]:
        sys.exit("--every runs the versions that it sets up itself: unset COMFYUI_PATH.")
    if "COMFYUI_PATH" in os.environ or options not in ([], ["--every"]):
        return run("test", options)
    if options == ["--every"]:
        parts = [(version, [*IN_COMFYUI, "--every"]) for version in environment.VERSIONS]
    else:
        parts = [(environment.NEWEST, []), (environment.OLDEST, [*IN_COMFYUI, "-m", "not long"])]
    failed = [version for version, tests in parts if run("test", tests, version) != 0]
    if options == ["--every"]:
        os.environ["COMFYUI_FRONTEND"] = str(environment.get_front_end())
        if run("test", ["tests/interface"]) != 0:
            failed.append(f"{environment.NEWEST} and {environment.FRONT_END}")
    if failed:
        print(f"Failed with ComfyUI {', '.join(failed)}.")
    return 1 if failed else 0


def run(job, options, version=environment.NEWEST):
    script, tools = JOBS[job]
    python, variables = environment.prepare(tools, version)
    folder = Path.cwd() if job in WRITE_WHERE_THE_USER_IS else environment.ROOT
    return subprocess.call([python, environment.ROOT / "dev" / script, *options], cwd=folder, env=variables)


if __name__ == "__main__":
    sys.exit(main())
