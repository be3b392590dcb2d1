"""How well Concept Instances tells things of one kind apart: `python demo_training/evaluate_instances.py flux --scenes 60`.

Held-out scenes of two or three things of one shape, in one colour or in several, that touch or do not, encoded as in
evaluate.py. Prints how often as many are found as are there, more or fewer, and where as many, the IoU of each.
"""

import argparse
from collections import Counter

from evaluate import Demo

# isort: split
import numpy as np
import torch
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.masks.instances import SPLIT, instances
from concept_attention.demo_model import DEMO_FAMILIES
from scenes import COLOURS, GROUNDS, HELD_OUT, SHAPES, Thing, draw_things
from scipy.optimize import linear_sum_assignment

SIZE = 256
LARGEST = {2: 0.24, 3: 0.18}  # radius, as a share of the picture's side
GAP = 6  # pixels
OVERLAP = (0.8, 1.0)  # distance of the middles of two that touch, in sums of their radii


def draw_alike(seed, touching):
    """A scene of two or three of one shape."""
    rng = np.random.default_rng((seed, touching))
    ground, shape, count = str(rng.choice(list(GROUNDS))), str(rng.choice(SHAPES)), int(rng.choice([2, 3]))
    colours = rng.choice(list(COLOURS), count, replace=False) if rng.random() < 0.5 else count * [rng.choice(list(COLOURS))]
    while True:
        things: list[Thing] = []
        for colour in colours:
            radius = SIZE * rng.uniform(0.6, 1) * LARGEST[count]
            turn = rng.uniform(-0.3, 0.3) if shape in ("square", "triangle", "star") else 0.0
            things.append(Thing(str(colour), shape, *_middle(rng, things, radius, touching), radius, turn))
        if all(_fits(thing) for thing in things) and all(_apart(a, b, touching) for i, a in enumerate(things) for b in things[:i]):
            return draw_things(ground, things, rng, SIZE, SIZE)


def _middle(rng, things, radius, touching):
    if not (touching and things):
        return rng.uniform(radius, SIZE - radius, 2)
    angle = rng.uniform(0, 2 * np.pi)
    distance = (things[-1].radius + radius) * rng.uniform(*OVERLAP)
    return things[-1].x + distance * np.cos(angle), things[-1].y + distance * np.sin(angle)


def _fits(thing):
    return all(thing.radius <= middle <= SIZE - thing.radius for middle in (thing.x, thing.y))


def _apart(one, other, touching):
    reach = one.radius + other.radius
    return np.hypot(one.x - other.x, one.y - other.y) > (OVERLAP[0] * reach - 1 if touching else reach + GAP)


def areas_of(scene):
    """[things, H, W] bool: what is seen of each."""
    seen, left = [], np.ones_like(scene.coverage[0])
    for coverage in scene.coverage[-2::-1]:
        seen.append(coverage * left >= 0.5)
        left = left * (1 - coverage)
    return np.stack(seen[::-1])


def judge(demo, scene, split=SPLIT):
    """(things found, things there, IoU of each pair that fits best)."""
    maps = decode(*demo.record(scene, [scene.things[0].shape, scene.ground]))
    found = instances(maps, scene.things[0].shape, torch.from_numpy(scene.picture)[None], split=split)[0]
    ious = np.array([[_iou(thing.mask >= 0.5, area) for area in areas_of(scene)] for thing in found]).reshape(-1, len(scene.things))
    return len(found), len(scene.things), ious[linear_sum_assignment(-ious)]


def _iou(mask, area):
    return (mask & area).sum() / (mask | area).sum()


def main():
    args = parse_args()
    demo = Demo(args.family)
    print(f"{'':8}{'split':>8}{'right':>8}{'more':>8}{'fewer':>8}{'IoU':>8}{'lowest':>8}")
    for touching in (False, True):
        for split in args.splits:
            counts, ious = Counter(), []
            for seed in range(HELD_OUT, HELD_OUT + args.scenes):
                found, there, fits = judge(demo, draw_alike(seed, touching), split)
                counts[np.sign(found - there)] += 1
                ious += list(fits) if found == there else []
            shares = "".join(f"{counts[sign] / args.scenes:8.3f}" for sign in (0, 1, -1))
            print(f"{'touching' if touching else 'apart':8}{split:8.2f}{shares}{np.mean(ious):8.3f}{min(ious):8.3f}", flush=True)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=DEMO_FAMILIES)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--splits", type=float, nargs="+", default=[SPLIT])
    return parser.parse_args()


if __name__ == "__main__":
    main()
