import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dev"))

import in_comfyui  # noqa: E402, F401

# isort: split
from live_server import live  # noqa: E402, F401


def pytest_report_header():
    from comfyui_version import __version__

    return f"ComfyUI {__version__}"


def pytest_addoption(parser):
    parser.addoption("--write-contract", action="store_true", help="write contract, English locale and help tables anew")
    parser.addoption("--write-pictures", action="store_true", help="write the help pages' pictures anew")
