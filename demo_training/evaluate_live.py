"""How early the maps of a sampling are those of its picture: `python demo_training/evaluate_live.py flux --prompts 24`.

A demo model paints prompts of two coloured things on a plain ground in 20 steps of euler. After each step the map of each thing is
made in several ways of what was heard so far, as a soft mask of 1 in its core and 0 far away, and compared with the one of the finished
picture: IoU of what is at least a half. Printed are the mean for each way and number of steps, and the share of the masks that are not
empty, in which the thing is said to be there already.
"""

import argparse
from dataclasses import replace

import comfy_path  # noqa: F401

# isort: split
import numpy as np
import torch
from concept_attention.concept_core.maps.decode import shares_of
from concept_attention.concept_core.steer.live import live_maps, live_mask
from evaluate import Demo
from evaluate_steps import PLAIN, SIZE
from scenes import COLOURS, SHAPES

STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20)
WAYS = {  # how much each step so far counts: sigmas of the steps so far, first step first → weights
    "latest": lambda sigmas: [0.0] * (len(sigmas) - 1) + [1.0],
    "mean": lambda sigmas: [1.0] * len(sigmas),
    "halved by step": lambda sigmas: [0.5 ** (len(sigmas) - place) for place in range(len(sigmas))],
    "last two": lambda sigmas: [0.0] * (len(sigmas) - 2) + [1.0] * min(2, len(sigmas)),
    "by noise": lambda sigmas: [(1 - sigma) ** 2 / max(sigma, 1e-3) ** 2 + 1e-6 for sigma in sigmas],
}


def main():
    args = parse_args()
    demo = Demo(args.family)
    figures = {(way, steps): [] for way in WAYS for steps in STEPS}
    for seed in range(args.prompts):
        for (way, steps), masks in masks_of(demo, seed).items():
            figures[way, steps] += masks
    print(f"{args.family}: IoU with the finished picture's mask, and in brackets the share of masks that are not empty")
    print(f"{'steps of 20':16}" + "".join(f"{steps:12}" for steps in STEPS))
    for way in WAYS:
        row = [np.mean(figures[way, steps], 0) for steps in STEPS]
        print(f"{way:16}" + "".join(f"{iou:6.2f} ({there:.2f})" for iou, there in row))


def masks_of(demo, seed):
    """(way, steps) → for each thing (IoU, whether its mask is not empty)."""
    rng = np.random.default_rng(seed)
    colours, shapes = rng.choice(list(COLOURS), 2, replace=False), rng.choice(SHAPES, 2, replace=False)
    ground = str(rng.choice(PLAIN))
    prompt = f"a {colours[0]} {shapes[0]} and a {colours[1]} {shapes[1]} on {ground}"
    recording, _, _ = demo.paint(prompt, [*shapes, ground], SIZE, seed)
    (run,) = recording.runs
    sigmas = sorted(run.steps, reverse=True)
    shares = torch.stack([shares_of(recording, run.steps[sigma]) for sigma in sigmas])
    maps = live_maps(recording, run, run.steps[sigmas[-1]])
    size = run.size[1:]
    finished = replace(maps, values=shares[int(0.7 * len(sigmas)) :].mean(0).unflatten(2, run.grid[1:]))
    found = {}
    for way, weigh in WAYS.items():
        for steps in STEPS:
            weights = torch.tensor(weigh(sigmas[:steps]))
            so_far = (shares[:steps] * (weights / weights.sum())[:, None, None, None]).sum(0)
            maps = replace(finished, values=so_far.unflatten(2, run.grid[1:]))
            found[way, steps] = [judged(maps, finished, str(shape), size) for shape in shapes]
    return found


def judged(maps, finished, shape, size):
    (mask, (there,)), (true, _) = live_mask(maps, shape, size), live_mask(finished, shape, size)
    mask, true = mask >= 0.5, true >= 0.5
    return float((mask & true).sum() / (mask | true).sum().clamp(min=1)), float(there)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=["flux", "sd3"])
    parser.add_argument("--prompts", type=int, default=24)
    return parser.parse_args()


if __name__ == "__main__":
    main()
