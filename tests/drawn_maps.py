"""Maps drawn by hand, and a picture to each."""

import torch
from concept_attention.concept_core.maps.maps import Maps

NAMES = ("left", "top", "absent", "rest")


def maps(batch=1, grid=(6, 8), softmaxed=True, image_size=None, num_shown=3):
    """left and top: a rectangle each, picture after picture one token wider or higher; absent: nowhere; rest: what is left."""
    values = torch.full((batch, 4, *grid), 0.01)
    for b in range(batch):
        values[b, 0, 2:, : 2 + b] = 0.95
        values[b, 1, : 1 + b, 4:] = 0.9
    values[:, 2] = 0.005 * torch.rand(batch, *grid, generator=torch.Generator().manual_seed(0))
    values[:, 3] = 1 - values[:, :3].sum(1)
    return Maps(values, NAMES, num_shown, softmaxed, image_size or (16 * grid[0], 16 * grid[1]), 16)


def painted(made, size=None):
    """A picture with a colour for each concept, whose edges are the tokens'."""
    height, width = size or made.image_size
    winner = made.values.argmax(1)[:, None].float()
    winner = torch.nn.functional.interpolate(winner, size=(height, width))[:, 0].long()
    return torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.2, 0.9], [0.5, 0.1, 0.6], [0.3, 0.6, 0.3]])[winner]


def truth(made, place, size=None):
    return torch.nn.functional.interpolate((made.values.argmax(1) == place)[:, None].float(), size=size or made.image_size)[:, 0]
