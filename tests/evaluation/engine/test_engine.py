"""What is shared out comes back as one process makes it, whatever is killed."""

import json
import time
from functools import partial

import psutil
import pytest
from concept_attention.evaluation.command import job_of, parse
from concept_attention.evaluation.engine import Engine
from concept_attention.evaluation.worker import Judging


def job():
    return job_of(parse(["scenes-single", "--data", "6", "--sheets", "1"]))


def at_work():
    """Processes of this test's nodes that have a picture."""
    return [process for process in psutil.Process().children(recursive=True) if title(process).startswith("ray::Worker.do")]


def title(process):
    try:
        return (process.cmdline() or [""])[0]
    except psutil.Error:  # it has just ended
        return ""


def test_a_killed_process_and_a_killed_machine_lose_nothing(cluster, other_node):
    """Two processes on two nodes of one core each. One is killed at its work, then a node; the rest is done on the node that is left."""
    rows, killed = [], []
    for row in Engine(processes=2, address=cluster.address).share_out(partial(Judging, job()), range(6)):
        rows.append(row)
        if len(rows) == 1:
            while not (busy := at_work()):
                time.sleep(0.01)
            killed.append(busy[0])
            busy[0].kill()
        if len(rows) == 2:
            cluster.remove_node(other_node, allow_graceful=False)
    assert not killed[0].is_running() and len(cluster.list_all_nodes()) == 1
    judging = Judging(job())
    alone = [judging(index) for index in range(6)]
    by_id = sorted(rows, key=lambda row: int(row[0]["id"]))
    assert [json.dumps(row) for row, _ in by_id] == [json.dumps(row) for row, _ in alone]
    assert [files for _, files in by_id] == [files for _, files in alone] and len(by_id[0][1]) == 1


@pytest.mark.parametrize("address", ["127.0.0.1:9", "head"])
def test_an_address_where_nothing_is(address):
    with pytest.raises(ValueError, match=f"no Ray cluster answers at {address} .*Give HOST:PORT"):
        list(Engine(address=address).share_out(int, [1]))
