"""Files of models as large as the published ones, of which nothing but the header takes room on the disk."""

import json
import math
from pathlib import Path

NAMES = {2: "F16", 1: "F8_E4M3", 4: "F32"}  # by bytes of a number


def save_header(shapes, path: Path, prefix="", size=2) -> Path:
    """shapes: name → shape. All numbers are 0, and the file has a hole where they would be."""
    header, end = {}, 0
    for name, shape in shapes.items():
        length = math.prod(shape) * size
        header[prefix + name] = {"dtype": NAMES[size], "shape": list(shape), "data_offsets": [end, end + length]}
        end += length
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path


def shapes_of(network) -> dict:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
