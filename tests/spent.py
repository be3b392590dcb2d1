"""What tests cost in processor seconds, of each unit that one process takes as a whole: the most costly are told at the end.

Those of the last run of all tests are kept in .dev/, so that in the next one the long ones begin first, and no process is left alone
with one of them.
"""

import json
from collections import Counter

import psutil
import pytest
from environment import HOME

KEPT = HOME / "processor_seconds.json"
TOLD = 12
FOLDERS = ("tests/interface", "tests/live", "tests/evaluation/engine")  # each starts a server, a browser or Ray
spent: Counter[str] = Counter()
before = 0.0


def unit_of(nodeid: str) -> str:
    """A file, or a folder whose tests share what takes long to start."""
    file = nodeid.split("::")[0]
    return next((folder for folder in FOLDERS if file.startswith(folder)), file)


def seconds() -> float:
    """Of this process and of those that it started, whether they live or not."""
    process = psutil.Process()
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            total += sum(each.cpu_times()[:4])  # user, system, and those of its children that have ended
        except psutil.Error:  # it has just ended
            continue
    return total


def note(unit: str):
    """What was spent since the note before is this unit's."""
    global before
    now = seconds()
    spent[unit] += max(0.0, now - before)  # what a process that nobody waited for has spent is forgotten
    before = now


def pytest_collection_finish():
    note("imports")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput") and KEPT.is_file():
        known = json.loads(KEPT.read_text())
        items.sort(key=lambda item: -known.get(unit_of(item.nodeid), float("inf")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    is_last = nextitem is None or unit_of(nextitem.nodeid) != unit_of(item.nodeid)
    if is_last:
        note(unit_of(item.nodeid))  # while a server and a browser are there to tell
    result = yield
    if is_last:
        note(unit_of(item.nodeid))
    return result


def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["spent"] = dict(spent)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    spent.update(getattr(node, "workeroutput", {}).get("spent", {}))


def pytest_terminal_summary(terminalreporter, config):
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        KEPT.write_text(json.dumps(dict(spent.most_common()), indent=1))
    terminalreporter.section("processor seconds")
    terminalreporter.line(f"{sum(spent.values()):.0f} in all: " + ", ".join(f"{name} {of:.0f}" for name, of in spent.most_common(TOLD)))
