"""Drawn clips with known ground truth: one or two coloured shapes, each moving straight in one direction or standing still.

A clip is a caption ("a red circle moves right over grass"), frames [F, H, W, 3] in 0..1 and coverage masks [F, H, W] in 0..1.
"""

from dataclasses import dataclass

import numpy as np
from scenes import COLOURS, GROUNDS, SHAPES, Thing, mask_of, slope, texture

FRAMES, SIZE = 13, 128

STILL = "stands still"
DIRECTIONS = {"moves right": (1, 0), "moves left": (-1, 0), "moves down": (0, 1), "moves up": (0, -1), STILL: (0, 0)}


@dataclass(frozen=True)
class World:
    """What clips are drawn of. counts: how many things, and how often."""

    counts: dict
    shapes: tuple
    grounds: tuple
    motions: tuple
    speeds: tuple  # pixels per frame
    still: float  # share of things


WHOLE = World({1: 0.65, 2: 0.35}, SHAPES, tuple(GROUNDS), tuple(DIRECTIONS)[:4], (1.4, 2.8), 0.15)
SMALL = World({1: 1.0}, ("circle", "square"), ("grass", "sand"), ("moves right", "moves left"), (3.5, 4.5), 0.0)
WORLDS = {"whole": WHOLE, "small": SMALL}


@dataclass
class MovingThing:
    """start: a Thing as it is in the first frame. motion: one of DIRECTIONS. speed: pixels per frame."""

    start: Thing
    motion: str
    speed: float

    @property
    def shape(self):
        return self.start.shape

    @property
    def colour(self):
        return self.start.colour

    @property
    def name(self):
        return self.start.name

    @property
    def words(self):
        return self.start.words

    def at(self, frame) -> Thing:
        x, y = DIRECTIONS[self.motion]
        far = self.speed * frame
        return Thing(self.colour, self.shape, self.start.x + x * far, self.start.y + y * far, self.start.radius, self.start.turn)


@dataclass
class Clip:
    things: list
    ground: str
    frames: np.ndarray  # [F, H, W, 3]
    coverage: np.ndarray  # [things + 1, F, H, W]; the last one is the ground

    @property
    def caption(self):
        return caption([(t.name, t.motion) for t in self.things], self.ground)

    @property
    def pixels(self):
        return self.frames

    def area(self, concept):
        """Coverage [F, H, W] of whatever the words name; zeros where it is absent."""
        if concept == self.ground:
            return self.coverage[-1]
        return self.coverage[[i for i, t in enumerate(self.things) if concept in t.words]].sum(0)


def caption(moves, ground):
    words = [f"{'an' if name[0] in 'aeiou' else 'a'} {name} {motion}" for name, motion in moves]
    return f"{' and '.join(words)} over {ground}"


def draw_clip(seed, frames=range(FRAMES), size=SIZE, world=WHOLE):
    """frames: those that are drawn, of a clip of FRAMES."""
    rng = np.random.default_rng(seed)
    ground = str(rng.choice(world.grounds))
    things = _place(rng, size, world)
    empty = texture(ground, rng, size, size)
    paints = [np.clip(np.array(COLOURS[t.colour]) * (1 + 0.10 * slope(rng, size, size))[..., None], 0, 1) for t in things]
    pictures, coverage = [], []
    for frame in frames:
        picture, left, masks = empty, np.ones((size, size)), []
        for thing, paint in zip(things, paints):
            mask = mask_of(thing.at(frame), size, size)
            picture = picture * (1 - mask[..., None]) + paint * mask[..., None]
            left = left * (1 - mask)
            masks.append(mask)
        pictures.append(picture)
        coverage.append([*masks, left])
    return Clip(things, ground, np.stack(pictures).astype(np.float32), np.array(coverage, np.float32).transpose(1, 0, 2, 3))


def _place(rng, size, world):
    """One or two things in different colours that stay inside the picture and never touch."""
    count = int(rng.choice(list(world.counts), p=list(world.counts.values())))
    low, high = {1: (0.17, 0.25), 2: (0.14, 0.19)}[count]
    while True:
        colours = rng.choice(list(COLOURS), count, replace=False)
        things = [_thing(rng, str(colour), rng.uniform(low, high) * size, size, world) for colour in colours]
        places = [[(t.at(f).x, t.at(f).y) for f in range(FRAMES)] for t in things]
        if count == 1 or np.hypot(*(np.array(places[0]) - places[1]).T).min() > sum(t.start.radius for t in things) + 4:
            return things


def _thing(rng, colour, radius, size, world):
    shape = str(rng.choice(world.shapes))
    turn = rng.uniform(-0.3, 0.3) if shape in ("square", "triangle", "star") else 0.0
    motion = STILL if rng.random() < world.still else str(rng.choice(world.motions))
    speed = 0.0 if motion == STILL else rng.uniform(*world.speeds)
    way = np.array(DIRECTIONS[motion]) * speed * (FRAMES - 1)
    low, high = radius + np.maximum(0, -way), size - radius - np.maximum(0, way)
    x, y = rng.uniform(low, high)
    return MovingThing(Thing(colour, shape, x, y, radius, turn), motion, speed)
