import os
import sys
from pathlib import Path

# How sums are shared out among threads is part of their rounding. And several threads wait for one another in a loop after each of
# the small models' operations: on a machine with other work that took thirty times as long as one thread does.
os.environ.setdefault("OMP_NUM_THREADS", "1")

sys.path.insert(0, str(Path(__file__).parents[1] / "dev"))

import in_comfyui  # noqa: E402, F401

# isort: split
import pytest  # noqa: E402
import spent  # noqa: E402
from live_server import live  # noqa: E402, F401


def pytest_configure(config):
    config.pluginmanager.register(spent)


def pytest_report_header():
    from comfyui_version import __version__

    return f"ComfyUI {__version__}"


def pytest_addoption(parser):
    parser.addoption("--every", action="store_true", help="run the cases too that show once more what others show")
    parser.addoption("--write-contract", action="store_true", help="write contract, English locale and help tables anew")
    parser.addoption("--write-pictures", action="store_true", help="write the help pages' pictures anew")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--every"):
        left_out = [item for item in items if item.get_closest_marker("every")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("every")]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A process takes whole files, one of them all that need a server, one all that need a browser, and one all that need Ray."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return spent.unit_of(nodeid)

    return Scheduling(config, log)
