"""Which steps tell most: `python demo_training/evaluate_steps.py flux --prompts 24`.

A demo model paints prompts of two coloured things on a plain ground. Where each is follows from the colours of its picture; each token
goes to its strongest concept. Printed are the mean IoU of the things for each choice of steps, blocks and temperature, and what a choice
made on all other prompts gives on the one that is left out, averaged over the prompts.
"""

import argparse
from itertools import product

import comfy_path  # noqa: F401

# isort: split
import numpy as np
import torch
from concept_attention.concept_core.maps.decode import SHARPNESS, spread
from concept_attention.concept_core.recording.recipe import Recipe
from evaluate import Demo
from scenes import COLOURS, GROUNDS, SHAPES, coverage_by_colour

PLAIN = [ground for ground in GROUNDS if len(GROUNDS[ground]) == 1]
SIZE = (256, 256)
FROM = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
TEMPERATURES = (0.5, 1.0, 2.0, -1.0, -2.0, -3.0, -4.0, -6.0)
PRESENT = 0.01  # of the picture, a thing that the model has painted


def main():
    args = parse_args()
    demo = Demo(args.family)
    paintings = [painting(demo, seed, single_blocks=args.single_blocks) for seed in range(args.prompts)]
    first = paintings[0][0]
    depth = first.depth - first.single_blocks
    auto, single = list(first.default_blocks), list(range(depth, first.depth))
    blocks = {"auto": auto, "last": [depth - 1], "late half": list(range(depth // 2, depth)), "all": list(range(depth))}
    blocks |= {f"s{number}": [block] for number, block in enumerate(single)}
    if single:
        blocks["auto and single"] = auto + single
    choices = list(product(FROM, blocks, TEMPERATURES))
    table = np.array([[iou_of(*one, blocks[name], start, temperature) for one in paintings] for start, name, temperature in choices])
    print(f"{args.family}: mean IoU of the things on {len(paintings)} pictures, ± its standard error")
    for (start, name, temperature), row in zip(choices, table):
        error = row.std() / len(row) ** 0.5
        print(f"from {start:.1f} of the steps, {name:15} blocks, temperature {temperature:.1f}: {row.mean():.3f} ± {error:.3f}")
    plain = table[choices.index((0.0, "auto", 1.0))]
    held_out = np.array([table[np.delete(table, one, 1).mean(1).argmax(), one] for one in range(len(paintings))])
    better = (held_out > plain).mean()
    print(f"the plain mean {plain.mean():.3f}; chosen on the other prompts {held_out.mean():.3f}, better on {better:.0%} of them")


def painting(demo, seed, **options):
    """(recording, rows of its steps' scores [blocks, C, N], true areas [C, N])"""
    rng = np.random.default_rng(seed)
    colours, shapes = rng.choice(list(COLOURS), 2, replace=False), rng.choice(SHAPES, 2, replace=False)
    ground = str(rng.choice(PLAIN))
    things = [f"{colour} {shape}" for colour, shape in zip(colours, shapes)]
    recording, _, picture = demo.paint(f"a {things[0]} and a {things[1]} on {ground}", [*shapes, ground], SIZE, seed, **options)
    (run,) = recording.runs
    areas = torch.from_numpy(coverage_by_colour(picture.numpy(), list(colours), ground))
    truth = torch.nn.functional.avg_pool2d(areas[None], recording.pixels_per_token)[0].flatten(1)
    steps = [step["output"][:, 0] for step in run.window(0.0, 1.0)]
    return recording, steps, truth


def iou_of(recording, steps, truth, blocks, from_step, temperature):
    """The mean over the things that are there. temperature: below 0 it is that many parts of the scores' spread."""
    chosen = Recipe(from_step=from_step).steps(steps)
    units = [temperature if temperature > 0 else spread(step[blocks]) * SHARPNESS / -temperature for step in chosen]
    maps = sum((step[blocks] / unit).softmax(1).mean(0) for step, unit in zip(chosen, units))
    winner, true = maps.argmax(0), truth.argmax(0)
    there = [place for place in range(2) if truth[place].mean() > PRESENT]
    return float(np.mean([iou(winner == place, true == place) for place in there])) if there else float("nan")


def iou(one, other):
    return float((one & other).sum() / (one | other).sum())


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=["flux", "sd3"])
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--single-blocks", action="store_true", help="of Flux too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
