"""Weights as they lie in files: matrices as 8-bit integers with a scale per row, the rest in half precision."""

import torch

_SCALE = ".scale_of_rows"


def stored(weights):
    """What goes into the file."""
    file = {}
    for name, tensor in weights.items():
        if tensor.ndim < 2:
            file[name] = tensor.half()
            continue
        rows = tensor.flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp(min=1e-12).reshape(-1, *[1] * (tensor.ndim - 1))
        file[name], file[name + _SCALE] = (tensor / scale).round().to(torch.int8), scale.float()
    return file


def restored(file):
    """Full precision again."""
    weights = {}
    for name, tensor in file.items():
        if name + _SCALE in file:
            tensor = tensor.float() * file[name + _SCALE].float()
        if not name.endswith(_SCALE):
            weights[name] = tensor.float()
    return weights
