"""How many operations the concept stream adds to a block: on a GPU small kernels are its cost, and they can be counted anywhere.

Views are not counted, and what CUDA does in one kernel counts once: an RMS norm, which a processor takes apart.
"""

from collections import Counter
from dataclasses import replace

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..concept_core.record.sampler import record_concepts
from . import models
from .measure import Sampling

VIEWS = """view _unsafe_view unsqueeze expand slice select transpose permute t detach alias unbind split split_with_sizes chunk as_strided
reshape _reshape_alias squeeze unflatten""".split()
OF_AN_RMS_NORM = Counter(pow=1, mean=1, add_=1, rsqrt=1, mul=2)
DEPTHS = (2, 4)
SPACES = ("output", "output + cross-attention", "all")


class Operations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        if name not in VIEWS:
            self.count[name] += 1
        return function(*args, **(kwargs or {}))


def rows():
    """(what, operations of a block of its own, added ones) for each family and choice of spaces."""
    for size in (models.SIZES["flux-small"], models.SIZES["sd3-small"]):
        for spaces in SPACES:
            own, added = in_a_block(size, spaces)
            yield f"{size.family}, {spaces}", kernels(own), kernels(added)


def in_a_block(size: models.Size, spaces: str):
    """(own, added) operations: what a deeper model has more of, per block."""
    counts = []
    for depth in DEPTHS:
        deeper = replace(size, depth=depth, hidden=64 * depth if size.family == "sd3" else size.hidden)
        model, sampling = models.build(deeper), Sampling(deeper, deeper.side, 1, 1, 1.0)
        patched, _ = record_concepts(model, models.concepts(deeper, 4, 1), spaces=spaces)
        counts.append([counted(sampling, one) for one in (model, patched)])
    (plain, recorded), (deep_plain, deep_recorded) = counts
    own, with_added = deep_plain - plain, deep_recorded - recorded
    blocks = DEPTHS[1] - DEPTHS[0]
    return {name: n / blocks for name, n in own.items()}, {name: n / blocks for name, n in (with_added - own).items()}


def counted(sampling: Sampling, model) -> Counter[str]:
    sampling(model)  # the first one also moves what stays
    with torch.no_grad(), Operations() as operations:
        sampling(model)
    return operations.count


def kernels(count: dict) -> float:
    norms = min(count.get("rsqrt", 0), *(count.get(name, 0) // times for name, times in OF_AN_RMS_NORM.items()))
    return sum(count.values()) - norms * (sum(OF_AN_RMS_NORM.values()) - 1)
