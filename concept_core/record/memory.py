"""Where memory is short the picture goes first, and what is to be kept is weighed beforehand."""

import logging
from contextlib import contextmanager

import torch
from comfy.model_management import discard_cuda_async_error

from ..recording.recording import MADE_ROOM, Recording
from ..recording.vectors import free_on_host
from .receiver import Receiver


@contextmanager
def spare_the_picture(receiver: Receiver):
    """Out of memory in here ends the run's recording, not its sampling; Decode tells."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        receiver.abort("memory ran out while recording")


def is_out_of_memory(error: Exception) -> bool:
    """CUDA has a class for it; CPUs and Apple's GPUs say it in a RuntimeError, each in its own words."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, getattr(torch, "AcceleratorError", ())):
        discard_cuda_async_error()  # or the next kernel of the picture raises it again
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in words)


def make_room(recording: Recording, needed: int):
    """See that as many bytes of vectors fit into RAM, for which the oldest runs give theirs up.

    ValueError where they do not fit even so.
    """
    logging.info("Concept Attention keeps about %.2f GB of vectors.", needed / 1e9)
    free = free_on_host() + sum(run.vector_nbytes for run in recording.runs)
    if needed > free:
        raise ValueError(
            f"keep_vectors needs about {needed / 1e9:.1f} GB of RAM, and {free / 1e9:.1f} GB are free: "
            "name fewer blocks, or narrow start_percent to end_percent."
        )
    for run in recording.runs:
        if run.vectors and needed > free_on_host():
            run.let_vectors_go(MADE_ROOM)
