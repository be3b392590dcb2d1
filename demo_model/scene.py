"""A drawn scene that the demo models have not seen: seed 900000815 of demo_training/scenes.py."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def load_scene() -> Tensor:
    """[1, 256, 256, 3] in 0..1: a pink star, a yellow circle and a purple heart on sand."""
    with Image.open(Path(__file__).with_name("scene.png")) as picture:
        return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]
