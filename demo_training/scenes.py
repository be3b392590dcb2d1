"""Drawn scenes with known ground truth: coloured shapes on a textured ground.

A scene is a caption ("a red circle and a blue square on sand"), a picture [H, W, 3] in 0..1 and one coverage mask
[H, W] in 0..1 per thing, the ground included. The same seed and size draw the same scene on every machine.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

HELD_OUT = 900_000_000  # first seed that is not for training
COLOURS = {  # of things
    "red": (0.87, 0.11, 0.15),
    "orange": (0.98, 0.52, 0.06),
    "yellow": (0.98, 0.87, 0.10),
    "green": (0.08, 0.78, 0.24),
    "blue": (0.12, 0.22, 0.90),
    "purple": (0.58, 0.14, 0.75),
    "pink": (0.99, 0.45, 0.72),
    "black": (0.09, 0.09, 0.11),
}
SHAPES = ("circle", "square", "triangle", "star", "heart")
GROUNDS = {  # the colours that each consists of
    "grass": [(0.33, 0.49, 0.20)],
    "sand": [(0.84, 0.74, 0.56)],
    "water": [(0.20, 0.55, 0.65)],
    "snow": [(0.93, 0.95, 0.99)],
    "brick": [(0.58, 0.29, 0.22), (0.74, 0.70, 0.65)],
}
PLACES = {"sky": "in the sky", "forest": "in a forest", "night": "at night"}  # what is not said with "on"


def coverage_by_colour(picture, colours, ground):
    """[colours + 1, H, W]: 1 where a painted picture [H, W, 3] is nearest to a thing's colour; the last is the ground."""
    candidates = [[COLOURS[colour]] for colour in colours] + [GROUNDS[ground]]
    distances = [np.min([np.linalg.norm(picture - np.array(c), axis=-1) for c in group], axis=0) for group in candidates]
    return np.eye(len(candidates), dtype=np.float32)[np.argmin(distances, axis=0)].transpose(2, 0, 1)


@dataclass
class Thing:
    """One shape: its words, its centre (x, y) and its radius in pixels, its turn in radians."""

    colour: str
    shape: str
    x: float
    y: float
    radius: float
    turn: float

    @property
    def name(self):
        return f"{self.colour} {self.shape}"

    @property
    def words(self):
        return self.shape, self.name


@dataclass
class Scene:
    things: list  # each with the `name` that the caption has and the `words` that name it
    ground: str
    picture: np.ndarray
    coverage: np.ndarray  # [things + 1, H, W]; the last one is the ground

    @property
    def caption(self):
        return caption([t.name for t in self.things], self.ground)

    @property
    def pixels(self):
        """[1, H, W, 3]"""
        return self.picture[None]

    def area(self, concept):
        """Coverage [H, W] of whatever the words name: "circle", "red circle" or "sand"; zeros where it is absent."""
        if concept == self.ground:
            return self.coverage[-1]
        rows = [i for i, t in enumerate(self.things) if concept in t.words]
        return self.coverage[rows].sum(0)


def caption(names, ground):
    words = [f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in names]
    listed = words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    return f"{listed} {PLACES.get(ground, f'on {ground}')}"


def plan_scene(seed, height=256, width=256):
    """(ground, things, the generator that goes on to draw them) of a scene."""
    rng = np.random.default_rng(seed)
    ground = str(rng.choice(list(GROUNDS)))
    return ground, _place(rng, height, width), rng


def draw_scene(seed, height=256, width=256):
    return draw_things(*plan_scene(seed, height, width), height, width)


def draw_things(ground, things, rng, height, width):
    """The scene of things of which later ones lie above those before them."""
    picture = texture(ground, rng, height, width)
    left = np.ones((height, width))
    coverage = []
    for thing in things:
        mask = mask_of(thing, height, width)
        light = 1 + 0.10 * slope(rng, height, width)
        paint = np.clip(np.array(COLOURS[thing.colour])[None, None] * light[..., None], 0, 1)
        picture = picture * (1 - mask[..., None]) + paint * mask[..., None]
        coverage.append(mask)
        left = left * (1 - mask)
    return Scene(things, ground, picture.astype(np.float32), np.stack([*coverage, left]).astype(np.float32))


def _place(rng, height, width):
    """One to three things that do not touch, in different colours, inside the picture."""
    count = int(rng.choice([1, 2, 3], p=[0.25, 0.45, 0.30]))
    low, high = {1: (0.22, 0.36), 2: (0.17, 0.27), 3: (0.15, 0.21)}[count]
    scale = np.sqrt(height * width)
    while True:
        colours = rng.choice(list(COLOURS), count, replace=False)
        things = []
        for colour in colours:
            radius = min(rng.uniform(low, high) * scale, 0.45 * min(height, width))
            x, y = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
            shape = str(rng.choice(SHAPES))
            turn = rng.uniform(-0.3, 0.3) if shape in ("square", "triangle", "star") else 0.0
            things.append(Thing(str(colour), shape, x, y, radius, turn))
        pairs = [(a, b) for i, a in enumerate(things) for b in things[:i]]
        if all(np.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius + 4 for a, b in pairs):
            return things


def mask_of(thing, height, width):
    """Anti-aliased coverage from the signed distance (in pixels) of the shape's outline."""
    y, x = np.mgrid[:height, :width] + 0.5
    x, y = (x - thing.x) / thing.radius, (y - thing.y) / thing.radius
    c, s = np.cos(thing.turn), np.sin(thing.turn)
    distance = _DISTANCES[thing.shape](c * x + s * y, c * y - s * x) * thing.radius
    return np.clip(0.5 - distance, 0, 1)


def _circle(x, y):
    return np.hypot(x, y) - 0.95


def _square(x, y):
    return np.maximum(abs(x), abs(y)) - 0.8


def _triangle(x, y):
    y = y - 0.15
    return np.maximum(y - 0.7, 0.866 * abs(x) - 0.5 * y - 0.5)


def _star(x, y):
    """Five points; the distance to the nearest edge within one tenth of the turn."""
    angle = np.arctan2(x, -y)
    sector = 2 * np.pi / 5
    angle = abs((angle + sector / 2) % sector - sector / 2)
    r = np.hypot(x, y)
    px, py = r * np.cos(angle), r * np.sin(angle)
    inner = 0.48
    ax, ay = 1.0, 0.0
    bx, by = inner * np.cos(sector / 2), inner * np.sin(sector / 2)
    nx, ny = by - ay, ax - bx
    return ((px - ax) * nx + (py - ay) * ny) / np.hypot(nx, ny)


def _heart(x, y):
    """(x² + y² − 1)³ = x²y³, divided by the length of its gradient: a distance to first order."""
    x, y = 1.22 * x, -1.22 * y + 0.12
    f = (x**2 + y**2 - 1) ** 3 - x**2 * y**3
    gx = 6 * x * (x**2 + y**2 - 1) ** 2 - 2 * x * y**3
    gy = 6 * y * (x**2 + y**2 - 1) ** 2 - 3 * x**2 * y**2
    return f / (np.hypot(gx, gy) * 1.22 + 1e-3)


_DISTANCES = {"circle": _circle, "square": _square, "triangle": _triangle, "star": _star, "heart": _heart}


def slope(rng, height, width):
    """A plane through 0 in a random direction, -1..1 over the picture."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return (np.cos(angle) * x + np.sin(angle) * y) / np.sqrt(2)


def noise(rng, height, width, sigma):
    field = gaussian_filter(rng.standard_normal((height, width)), sigma, mode="wrap")
    return field / field.std()


def texture(ground, rng, height, width):
    tone, tint = TEXTURES[ground](rng, height, width)
    return np.clip(tint + tone[..., None] * (0.6 + 0.4 * tint), 0, 1)


def _grass(rng, height, width):
    return 0.09 * noise(rng, height, width, (7, 2)) + 0.03 * noise(rng, height, width, 16), np.array(GROUNDS["grass"][0])


def _sand(rng, height, width):
    return 0.035 * noise(rng, height, width, 2) + 0.03 * noise(rng, height, width, (4, 20)), np.array(GROUNDS["sand"][0])


def _water(rng, height, width):
    y = np.mgrid[:height, :width][0]
    waves = np.sin(2 * np.pi * y / rng.uniform(18, 26) + 1.3 * noise(rng, height, width, (6, 24)))
    return 0.09 * waves, np.array(GROUNDS["water"][0])


def _snow(rng, height, width):
    return 0.035 * noise(rng, height, width, 12) + 0.012 * noise(rng, height, width, 2) - 0.04, np.array(GROUNDS["snow"][0])


def _brick(rng, height, width):
    rows, columns, joint = 20, 44, 4
    y, x = np.mgrid[:height, :width]
    y = y + rng.integers(rows)
    course = y // rows
    x = x + rng.integers(columns) + (course % 2) * (columns // 2)
    brick = ((y % rows) >= joint) & ((x % columns) >= joint)
    shade = rng.uniform(-0.06, 0.06, (course.max() + 1, x.max() // columns + 1))[course, x // columns]
    tint = gaussian_filter(np.where(brick[..., None], *GROUNDS["brick"]), (0.7, 0.7, 0))
    return brick * shade + 0.02 * noise(rng, height, width, 2), tint


TEXTURES = {"grass": _grass, "sand": _sand, "water": _water, "snow": _snow, "brick": _brick}
