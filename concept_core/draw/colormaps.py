"""Colour maps as 33 evenly spaced colours each, between which is interpolated (within 5 of 255 of the originals).

Plasma, viridis, magma and inferno are by N. Smith and S. van der Walt (CC0), turbo is by A. Mikhailov (Apache 2.0).
"""

from collections.abc import Iterable

import torch
from torch import Tensor

COLORMAPS = {
    "plasma": "0d0887 220690 310597 3f049c 4c02a1 5901a5 6600a7 7201a8 7e03a8 8a09a5 9511a1 a01a9c aa2395 b32c8e bc3587 c43e7f cc4778"
    " d35171 da5a6a e06363 e66c5c eb7655 f0804e f58b47 f89540 fba139 fdac33 feb82c fdc527 fcd225 f8df25 f4ed27 f0f921",
    "viridis": "440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e 2c728e 297a8e 26828e 23898e 21918c"
    " 1f988b 1fa088 22a785 28ae80 32b67a 3fbc73 4ec36b 5ec962 70cf57 84d44b 98d83e addc30 c2df23 d8e219 ece51b fde725",
    "magma": "000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 51127c 5d177f 6a1c81 762181 832681 902a81 9c2e7f aa337d b73779"
    " c43c75 d0416f dc4869 e75263 ef5d5e f56b5c f9795d fc8961 fd9869 fea772 feb67c fec488 fed395 fde2a3 fcf0b2 fcfdbf",
    "inferno": "000004 040312 0b0724 150b37 210c4a 2f0a5b 3d0965 4a0c6b 57106e 64156e 71196e 7d1e6d 8a226a 972766 a32c61 b0315b bc3754"
    " c73e4c d24644 db503b e45a31 eb6628 f1731d f68013 f98e09 fb9d07 fcac11 fbbc21 f9cb35 f5db4c f2ea69 f3f68a fcffa4",
    "turbo": "30123b 392a73 4040a2 4456c7 466be3 4680f6 4294ff 37a8fa 28bceb 1ccdd8 18ddc2 1fe9af 32f298 4ef97d 6dfe62 8bff4b a4fc3c"
    " b9f635 cdec34 dfdf37 eecf3a f8be39 fdac34 fe962b fb7e21 f46617 eb500e df3f08 d02f05 be2102 a91601 920b01 7a0403",
    "gray": "000000 ffffff",
}


STEPS = 4096  # of a colour map: far finer than 8 bits show
GREY = 0.55  # of a picture's brightness


def colour(values: Tensor, name: str, out: Tensor | None = None) -> Tensor:
    """[...] in 0..1 → [..., 3] RGB in 0..1, in `out` if it is given; values beyond are clamped."""
    table = _table(name)
    index = (values.clamp(0, 1) * (STEPS - 1)).round_().int()
    picked = None if out is None else out.view(-1, 3)
    return torch.index_select(table, 0, index.flatten(), out=picked).view(*values.shape, 3)


def greyed(picture: Tensor, opacity: float) -> Tensor:
    """[..., 3] without its colours and a little darker, as far as `opacity` says: what is laid over it stands out."""
    light = (picture @ picture.new_tensor([0.299, 0.587, 0.114]))[..., None]
    return torch.lerp(picture, GREY * light.expand_as(picture), opacity)


def _table(name):
    """[STEPS, 3]"""
    stops = from_hex(COLORMAPS[name].split())
    position = torch.linspace(0, len(stops) - 1, STEPS)
    lower = position.long().clamp(max=len(stops) - 2)
    return torch.lerp(stops[lower], stops[lower + 1], (position - lower)[:, None])


def from_hex(colours: Iterable[str]) -> Tensor:
    """[n, 3] in 0..1 of n colours such as "e6194b"."""
    return torch.tensor([list(bytes.fromhex(colour)) for colour in colours]) / 255
