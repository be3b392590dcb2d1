"""Run the demo, the tests, a report card, an evaluation or a benchmark. They set up all they need in .dev/.

    python run.py demo              paints with the demo model and leaves pictures and maps in demo_output/
    python run.py test              all tests with the newest ComfyUI, then with the oldest those that need it and are not long
    python run.py test --every      every case, with each supported version and with the newest front end
    python run.py test PYTEST ...   what is given to pytest, with the newest
    python run.py check ...         a report card for the models in a ComfyUI; with --help it says more
    python run.py evaluate ...      judges concept maps against label masks; with --help it says more
    python run.py annotate ...      labels a folder of pictures; with --help it says more
    python run.py ray ...           Ray's own command, to make a cluster for evaluate and annotate: docs/evaluation.md
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
WHERE_THE_USER_IS = ("check", "evaluate", "annotate", "ray")  # files that are named lie there
JOBS = {  # each one's script and its first options, and the tools that it needs
    "demo": ("demo.py", []),
    "test": ("run_tests.py", ["TEST_TOOLS", "EVALUATION_TOOLS", "NOTEBOOK_TOOLS"]),
    "check": ("run_check.py", []),
    "evaluate": ("run_evaluation.py evaluate", ["EVALUATION_TOOLS"]),
    "annotate": ("run_evaluation.py annotate", ["EVALUATION_TOOLS"]),
    "ray": ("run_ray.py", ["EVALUATION_TOOLS"]),
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
    folder = Path.cwd() if job in WHERE_THE_USER_IS else environment.ROOT
    script, *first = script.split()
    return subprocess.call([python, environment.ROOT / "dev" / script, *first, *options], cwd=folder, env=variables)


if __name__ == "__main__":
    sys.exit(main())
