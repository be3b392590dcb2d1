"""From the device to the host without making the model wait."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class HostCopy:
    """Copies on their way to the host, to be read after `finish`."""

    tensors: list[Tensor]
    events: list[torch.cuda.Event] = field(default_factory=list)

    @classmethod
    def start(cls, tensors: Sequence[Tensor]) -> "HostCopy":
        """From CUDA devices beside what they compute next, into pinned memory; from others at once."""
        started = cls([_copy(tensor) for tensor in tensors])
        for device in {tensor.device for tensor in tensors if tensor.is_cuda}:
            started.events.append(torch.cuda.current_stream(device).record_event())
        return started

    def has_landed(self) -> bool:
        """Whether `finish` would not have to wait."""
        return all(event.query() for event in self.events)

    def finish(self) -> list[Tensor]:
        """In ordinary memory: what was pinned is used again for the next ones."""
        for event in self.events:
            event.synchronize()
        if self.events:
            self.tensors, self.events = [tensor.clone() for tensor in self.tensors], []
        return self.tensors

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)


def _copy(tensor):
    if not tensor.is_cuda:
        return tensor.to("cpu", copy=True)
    try:
        pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    except RuntimeError:  # all that may be pinned is: by ComfyUI's own offloading, on Windows above all
        return tensor.cpu()
    return pinned.copy_(tensor, non_blocking=True)
