"""Ray shares work out among processes, on this machine or on a cluster, and starts anew what was killed."""

import logging
import os
import pickle
import secrets
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

RAY_PATH = Path(__file__).resolve().parents[1] / "dev" / "ray_path"
RESTARTS = 10  # of a process; one that a picture kills again and again comes to an end
CORES = 2  # for each process without a GPU
MEMORY = 80 * 2**20  # for results on their way, the least that Ray takes


@dataclass(frozen=True)
class Engine:
    """processes: how many work at once; 0 is one for each GPU, or for every two cores of the cluster. gpus: how many to use; 0 is the
    processors. address: of a cluster that runs; without one Ray is started here and ended behind the work."""

    processes: int = 0
    gpus: int = 0
    address: str = ""

    def share_out(self, make: Callable[[], Callable], shares: Iterable) -> Iterator:
        """What make()(share) gives for each share, in the order in which they are done.

        make is called once in each process, where ComfyUI is imported; it and its work are found by their names. A share whose process or
        machine dies is done again. ValueError if it fails; shares are taken when there is room for them.
        """
        with _ray(self) as ray:
            from ray.util import ActorPool

            pool = ActorPool(self._workers(ray, pickle.dumps(make)))
            try:
                for share in shares:
                    if not pool.has_free():
                        yield pool.get_next_unordered()
                    pool.submit(lambda worker, share: worker.do.remote(share), share)
                while pool.has_next():
                    while pool.has_free():
                        pool.pop_idle()  # there is room now for one whose machine is gone
                    yield pool.get_next_unordered()
            except ray.exceptions.RayTaskError as error:
                raise ValueError(_told(error)) from error
            except ray.exceptions.RayError as error:
                raise ValueError(f"A process died {RESTARTS + 1} times, perhaps of one picture; what is done is kept. {error}") from error

    def _workers(self, ray, make: bytes) -> list:
        from ray_worker import Worker

        cores = ray.cluster_resources().get("CPU", 1)
        processes = self.processes or self.gpus or max(1, int(cores // CORES))
        share = max(1, int(cores // processes)) if processes <= cores else cores / processes
        needs = {"num_gpus": 1, "num_cpus": 1} if self.gpus else {"num_gpus": 0, "num_cpus": share}
        actor = ray.remote(max_restarts=RESTARTS, max_task_retries=-1, **needs)(Worker)
        return [actor.remote(make, bool(self.gpus), os.getcwd()) for _ in range(processes)]


@contextmanager
def _ray(engine: Engine):
    with TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder, for_rays_processes():
        if not engine.address:
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of this run alone
        import ray

        if engine.address:
            _check(engine.address)
        started = {"num_gpus": engine.gpus, "object_store_memory": MEMORY, "include_dashboard": False, "_temp_dir": folder}
        ray.init(engine.address or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if engine.address else started))
        try:
            yield ray
        finally:
            ray.shutdown()


def _check(address: str):
    """ValueError where nothing answers: Ray itself tries for many minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise ValueError(f"--address: no Ray cluster answers at {address} ({error}). Give HOST:PORT of its head.") from error


@contextmanager
def for_rays_processes():
    """Variables by which they find Ray in the tools' folder, and stay silent about it. ValueError where Python reads none."""
    if sys.flags.ignore_environment:
        raise ValueError("This Python ignores PYTHONPATH, by which Ray's processes find it: run this with the Python of an environment.")
    before = os.environ.get("PYTHONPATH")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(RAY_PATH), *filter(None, [before])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _told(error) -> str:
    """What a worker says to the user, or where it failed."""
    return str(error.cause) if isinstance(error.cause, ValueError) else f"A worker failed.\n{error}"
