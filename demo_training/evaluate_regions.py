"""Whether an attribute stays in its region: `python demo_training/evaluate_regions.py flux --prompts 40`.

A demo model paints two coloured things on a plain ground, and once more with the same noise where the first one is asked to have another
colour: by other words in the prompt, by Concept Region in the same sampling, and in a second pass with a mask of the finished picture
(ConditioningSetMask); the place is the new prompt's, all else the old one's. Where the things are follows from the colours of the first
picture. Printed are for each way how many of the first things have taken the new colour (on half of their area or more), how many of the
second ones have it (on a tenth or more: it leaked), how many of those have their own still (on half or more), and the mean share of the
ground that has changed its colour.
"""

import argparse

import comfy_path  # noqa: F401

# isort: split
import comfy.hooks
import comfy.sample
import numpy as np
import torch
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.masks.masks import masks
from concept_attention.concept_core.record.regions import with_region
from concept_attention.concept_core.record.sampler import record_concepts
from concept_attention.concept_core.steer.live import Shape
from concept_attention.concept_core.steer.region import Region
from evaluate import Demo
from evaluate_steps import PLAIN, PRESENT, SIZE
from node_helpers import conditioning_set_values
from scenes import COLOURS, SHAPES, coverage_by_colour

STEPS = 20


def chosen(seed):
    """(three colours, two shapes, a plain ground)."""
    rng = np.random.default_rng(seed)
    colours, shapes = (rng.choice(names, count, replace=False).tolist() for names, count in ((list(COLOURS), 3), (SHAPES, 2)))
    return colours, shapes, str(rng.choice(PLAIN))


class Case:
    """Two things, and the colour that the first is to have instead; None in `areas` unless the model has painted both."""

    def __init__(self, demo, seed):
        self.demo, self.seed = demo, seed
        self.colours, self.shapes, self.ground = chosen(seed)
        self.patched, self.recording = record_concepts(demo.model, encode_concepts(demo.clip, ",".join([*self.shapes, self.ground])))
        self.plain = self.paint(self.prompt(self.colours[0]))
        areas = coverage_by_colour(self.plain[1].numpy(), self.colours[:2], self.ground)[:2] > 0.5
        self.areas = areas if areas.mean((1, 2)).min() > PRESENT else None

    def prompt(self, colour):
        return self.encode(f"a {colour} {self.shapes[0]} and a {self.colours[1]} {self.shapes[1]} on {self.ground}")

    def encode(self, text):
        return self.demo.clip.encode_from_tokens_scheduled(self.demo.clip.tokenize(text))

    @torch.no_grad()
    def paint(self, positive):
        """(samples, picture [H, W, 3])"""
        latent = torch.zeros(1, 16, SIZE[0] // 8, SIZE[1] // 8)
        noise = comfy.sample.prepare_noise(latent, self.seed)
        conds = positive, self.encode("")
        options = dict(disable_pbar=True, seed=self.seed)
        samples = comfy.sample.sample(self.patched, noise, STEPS, self.demo.cfg, "euler", "simple", *conds, latent, **options)
        return samples, self.demo.vae.decode(samples)[0].clamp(0, 1)

    def judge(self, picture):
        """(new colour on the first thing, on the second, own colour on the second, ground that is no longer ground)"""
        new, own, ground = self.found(picture)
        first, second = self.areas
        outside = ~(first | second)
        return new[first].mean() >= 0.5, new[second].mean() >= 0.1, own[second].mean() >= 0.5, 1 - ground[outside].mean()

    def found(self, picture):
        found = coverage_by_colour(picture.numpy(), self.colours, self.ground) > 0.5
        return found[2], found[1], found[3]


def other_words(case):
    return case.paint(case.prompt(case.colours[2]))[1]


def live_region(from_percent, strength, join="default", **shape):
    def paint(case):
        region = Region(case.recording, case.shapes[0], from_percent, Shape(**shape), strength)
        regional = with_region(case.prompt(case.colours[2]), region)
        return case.paint(joined(regional, case.prompt(case.colours[0]), join))[1]

    return paint


def joined(regional, base, join):
    """The base is for what no region covers, or for the whole picture."""
    return regional + (conditioning_set_values(base, {"default": True}) if join == "default" else base)


def second_pass(join="default", strength=1.0):
    def paint(case):
        mask = masks(decode(case.recording, case.plain[0]), case.shapes[0])
        regional = conditioning_set_values(case.prompt(case.colours[2]), {"mask": mask, "mask_strength": strength})
        return case.paint(joined(regional, case.prompt(case.colours[0]), join))[1]

    return paint


WAYS = {
    "other words": other_words,
    "two passes": second_pass(),
    "region from 0.1": live_region(0.1, 1.0),
    "region from 0.25": live_region(0.25, 1.0),
    "region from 0.1, grow 32": live_region(0.1, 1.0, grow=32),
    "region from 0.1, combined": live_region(0.1, 1.0, "combine"),
}


def main():
    args = parse_args()
    demo, rows, seed = Demo(args.family), {way: [] for way in args.ways}, args.first
    while len(rows[args.ways[0]]) < args.prompts:
        case = Case(demo, seed)
        for way in rows if case.areas is not None else ():
            rows[way].append(case.judge(WAYS[way](case)))
            print(f"{seed:4} {way:28}" + "".join(f"{figure:8.2f}" for figure in rows[way][-1]), flush=True)
        seed += 1
    print(f"{args.family}, {args.prompts} prompts: takes the new colour, leaks, the other keeps its own, of the ground changed")
    for way, judged in rows.items():
        takes, leaks, keeps, ground = np.array(judged, float).T
        print(f"{way:28}{takes.sum():6.0f}{leaks.sum():6.0f}{keeps.sum():6.0f}{ground.mean():10.1%}")


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=["flux", "sd3"])
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="seed of the first prompt")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS)[:3])
    return parser.parse_args()


if __name__ == "__main__":
    main()
