"""Time and memory of work on the device that ComfyUI uses."""

import gc
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import comfy.model_management
import psutil
import torch


class Peak(NamedTuple):
    """Bytes that are held before some work, and at most while it runs."""

    before: int
    highest: int


def finish():
    """Wait until the device has done what it was given."""
    kind = comfy.model_management.get_torch_device().type
    if kind in ("cuda", "xpu", "mps"):
        getattr(torch, kind).synchronize()


def what_is_measured() -> str:
    kind = comfy.model_management.get_torch_device().type
    return "PyTorch's memory on the GPU" if kind in ("cuda", "xpu") else "this process's memory"


def peak_of(work: Callable[[], object]) -> Peak:
    """On the GPU if there is one that counts, else of this process."""
    gc.collect()
    kind = comfy.model_management.get_torch_device().type
    if kind in ("cuda", "xpu"):
        device = getattr(torch, kind)
        device.reset_peak_memory_stats()
        before = device.memory_allocated()
        work()
        return Peak(before, device.max_memory_allocated())
    process, highest, done = psutil.Process(os.getpid()), [0], threading.Event()
    before = process.memory_info().rss

    def watch():
        while not done.is_set():
            highest[0] = max(highest[0], process.memory_info().rss)
            done.wait(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return Peak(before, max(highest[0], process.memory_info().rss))


class StepClock:
    """A sampler's callback that takes the time of each step. ticks: seconds, of the beginning and after each step."""

    def __init__(self):
        finish()
        self.ticks = [time.perf_counter()]

    def __call__(self, *_):
        finish()
        self.ticks.append(time.perf_counter())

    @property
    def steps(self) -> list[float]:
        """Seconds of each step but the first, which also moves weights, unless it is the only one."""
        took = [after - before for before, after in zip(self.ticks, self.ticks[1:])]
        return took[1:] or took
