"""Ray on this machine, once for all tests of this folder."""

import os
import secrets
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from concept_attention.evaluation.engine import MEMORY, for_rays_processes

NODE = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 3,
}


@pytest.fixture(scope="session")
def cluster():
    """Of one node with one core."""
    os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    with for_rays_processes(), TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        os.environ["RAY_TMPDIR"] = folder  # where the address of the latest cluster is written, in a folder that has to be there
        Path(folder, "ray").mkdir()
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={**NODE, "temp_dir": folder, "_system_config": SOON})
        yield cluster
        cluster.shutdown()


@pytest.fixture
def other_node(cluster):
    """One more, with one core."""
    with for_rays_processes():
        node = cluster.add_node(**NODE)
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)
