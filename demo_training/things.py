"""Drawn scenes of things that have names, with known ground truth: "a dragon and a pizza on grass".

One to three different things of different sizes, each partly in front of the one before, with soft shadows that belong to
what they fall on. Things lie on the grid of image tokens, or anywhere.
"""

from dataclasses import dataclass

import numpy as np
import scenes
from scenes import Scene, noise
from scipy.ndimage import gaussian_filter
from sprites import EMOJI, sprite

THINGS = list(EMOJI)
GROUNDS = [*scenes.GROUNDS, "sky", "forest", "night"]
TOKEN = 16
LEAST_VISIBLE = 0.7  # of a thing's own area
SIDES = {1: (80, 112), 2: (64, 96), 3: (48, 80)}  # of things, by their number, in a picture of 192²
SHADOW = 0.35


@dataclass
class Thing:
    """One thing: its name, where the upper left corner of its square lies and how long that square's side is, in pixels."""

    name: str
    x: int
    y: int
    side: int

    @property
    def words(self):
        return (self.name,)


def draw_scene(seed, height=192, width=192, on_grid=True, sprite=sprite):
    rng = np.random.default_rng(seed)
    ground = str(rng.choice(GROUNDS))
    things, alphas = _place(rng, height, width, TOKEN if on_grid else 1, sprite)
    picture = _texture(ground, rng, height, width)
    for thing, alpha in zip(things, alphas):
        picture = picture * (1 - SHADOW * _shadow(alpha, thing.side)[..., None])
        colours = _paste(sprite(thing.name, thing.side)[..., :3], thing, height, width)
        picture = picture * (1 - alpha[..., None]) + colours * alpha[..., None]
    return Scene(things, ground, picture.astype(np.float32), visible(alphas).astype(np.float32))


def visible(alphas):
    """[things + 1, H, W]: what is to be seen of each, the later ones in front; the last is the ground. They sum to 1."""
    left, coverage = np.ones_like(alphas[0]), []
    for alpha in alphas[::-1]:
        coverage.append(alpha * left)
        left = left * (1 - alpha)
    return np.stack([*coverage[::-1], left])


def _place(rng, height, width, grid, sprite):
    """Things of different kinds inside the picture, none of them hidden too far; and the alpha [H, W] of each."""
    count = int(rng.choice([1, 2, 3], p=[0.3, 0.4, 0.3]))
    names = rng.choice(THINGS, count, replace=False)
    low, high = (side * min(height, width) // 192 for side in SIDES[count])
    while True:
        sides = rng.integers(-(-low // grid), high // grid + 1, count) * grid
        things = [_somewhere(rng, str(name), int(side), height, width, grid) for name, side in zip(names, sides)]
        alphas = [_paste(sprite(t.name, t.side)[..., 3], t, height, width) for t in things]
        if all(seen.sum() >= LEAST_VISIBLE * alpha.sum() for seen, alpha in zip(visible(alphas), alphas)):
            return things, alphas


def _somewhere(rng, name, side, height, width, grid):
    x, y = (int(rng.integers((room - side) // grid + 1)) * grid for room in (width, height))
    return Thing(name, x, y, side)


def _paste(pixels, thing, height, width):
    """Zeros of the picture's size with a sprite's [h, w, …] in the middle of the thing's square."""
    canvas = np.zeros((height, width, *pixels.shape[2:]))
    y, x = thing.y + (thing.side - pixels.shape[0]) // 2, thing.x + (thing.side - pixels.shape[1]) // 2
    canvas[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return canvas


def _shadow(alpha, side):
    return np.roll(gaussian_filter(alpha, 0.05 * side, mode="constant"), round(0.06 * side), axis=0)


def _texture(ground, rng, height, width):
    return _PLACES[ground](rng, height, width) if ground in _PLACES else scenes.texture(ground, rng, height, width)


def _sky(rng, height, width):
    clouds = noise(rng, height, width, (9, 22)) + 0.4 * noise(rng, height, width, 4)
    clouds = np.clip(0.5 * clouds - 0.2, 0, 1)[..., None]
    return _blend((0.32, 0.60, 0.93), (0.66, 0.85, 0.98), height, width) * (1 - clouds) + clouds * np.array((1.0, 1.0, 1.0))


def _forest(rng, height, width):
    trunks = np.clip(2 * noise(rng, 1, width, (0, 5)) - 1.2, 0, 1) * np.ones((height, 1))
    leaves = np.clip(0.7 * noise(rng, height, width, 5) + 0.3, 0, 1)
    picture = np.array((0.06, 0.20, 0.12)) * (1 - trunks[..., None]) + trunks[..., None] * np.array((0.30, 0.20, 0.13))
    leaves = leaves[..., None] * np.linspace(0.9, 0.3, height)[:, None, None]
    return np.clip(picture * (1 - leaves) + leaves * np.array((0.14, 0.40, 0.19)), 0, 1)


def _night(rng, height, width):
    stars = gaussian_filter((rng.random((height, width)) < 0.003) * rng.uniform(3, 12, (height, width)), 0.8)
    glow = 0.03 * noise(rng, height, width, 20)
    return np.clip(_blend((0.04, 0.05, 0.18), (0.16, 0.14, 0.36), height, width) + (glow + stars)[..., None], 0, 1)


def _blend(above, below, height, width):
    share = np.linspace(0, 1, height)[:, None, None] * np.ones((1, width, 1))
    return np.array(above) * (1 - share) + np.array(below) * share


_PLACES = {"sky": _sky, "forest": _forest, "night": _night}
