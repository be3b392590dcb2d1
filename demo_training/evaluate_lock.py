"""Whether a lock keeps the source and lets the thing change: `python demo_training/evaluate_lock.py flux --cases 40`.

A demo model paints two coloured things on a plain ground: the source. Then it paints over it with another seed, where the prompt asks for
another colour of the first thing, with Concept Lock (everything but that thing is kept) and without. Where the things are follows from the
colours of the source. Printed are for each way: how many of the first things have the new colour on half of their area or more; in how many
cases the model sees the thing in the new picture (its presence is a half or more); how many of the second things have kept their colour on
nine tenths or more; the mean share of the ground that has changed its colour; and outside of the final mask the highest difference from
the source, of the latents and, beyond the reach of the VAE's decoder, of the pictures.
"""

import argparse

import comfy_path  # noqa: F401

# isort: split
import comfy.sample
import numpy as np
import torch
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.maps.presence import presence
from concept_attention.concept_core.maps.selection import select
from concept_attention.concept_core.record.lock import with_lock
from concept_attention.concept_core.record.sampler import record_concepts
from concept_attention.concept_core.steer.live import live_maps, live_mask
from concept_attention.concept_core.steer.lock import Lock
from evaluate import Demo
from evaluate_regions import chosen
from evaluate_steps import PRESENT, SIZE
from scenes import coverage_by_colour
from scipy import ndimage

STEPS = 20
REACH = 6  # latent pixels that the VAE's decoder looks at around one


class Case:
    """Two things in a source, and the colour that the first is to have instead; None in `areas` unless the model has painted both."""

    def __init__(self, demo, seed):
        self.demo, self.seed = demo, seed
        self.colours, self.shapes, self.ground = chosen(seed)
        named = encode_concepts(demo.clip, ",".join([*self.shapes, self.ground]))
        self.patched, self.recording = record_concepts(demo.model, named)
        empty = torch.zeros(1, 16, SIZE[0] // 8, SIZE[1] // 8)
        self.source = self.paint(demo.model, self.colours[0], empty, 1.0, seed)
        self.picture = self.decoded(self.source)
        areas = self.found(self.picture, self.colours[:2])[:2]
        self.areas = areas if areas.mean((1, 2)).min() > PRESENT else None

    def encode(self, text):
        return self.demo.clip.encode_from_tokens_scheduled(self.demo.clip.tokenize(text))

    @torch.no_grad()
    def paint(self, model, colour, latent, denoise, seed):
        text = f"a {colour} {self.shapes[0]} and a {self.colours[1]} {self.shapes[1]} on {self.ground}"
        noise = comfy.sample.prepare_noise(latent, seed)
        conds = self.encode(text), self.encode("")
        options = dict(disable_pbar=True, seed=seed, denoise=denoise)
        return comfy.sample.sample(model, noise, STEPS, self.demo.cfg, "euler", "simple", *conds, latent, **options)

    @torch.no_grad()
    def decoded(self, samples):
        return self.demo.vae.decode(samples)[0].clamp(0, 1)

    def found(self, picture, colours):
        return coverage_by_colour(picture.numpy(), colours, self.ground) > 0.5

    def judge(self, model, denoise):
        samples = self.paint(model, self.colours[2], self.source, denoise, self.seed + 1000)
        picture = self.decoded(samples)
        new, own, ground = self.found(picture, [self.colours[2], self.colours[1]])
        first, second = self.areas
        maps = decode(self.recording, samples)
        seen = float(presence(maps, select(maps, self.shapes[0]))[0, 0])
        outside = ~(first | second)
        row = new[first].mean() >= 0.5, seen >= 0.5, own[second].mean() >= 0.9, 1 - ground[outside].mean()
        return *row, *self.differences(samples, picture)

    def differences(self, samples, picture):
        """Outside of the mask of the last step, which is the map of the step before."""
        run = self.recording.runs[-1]
        mask, _ = live_mask(live_maps(self.recording, run, run.window(0, 1)[-2]), self.shapes[0], run.size[1:])
        kept = np.asarray(mask[0] == 0)
        far = ndimage.binary_erosion(kept, iterations=REACH, border_value=1).repeat(8, 0).repeat(8, 1)
        latents, pictures = (samples - self.source).abs().amax(1)[0].numpy(), (picture - self.picture).abs().amax(-1).numpy()
        return latents[kept].max(initial=0), pictures[far].max(initial=0)


def main():
    args = parse_args()
    demo, rows, seed = Demo(args.family), {}, args.first
    while len(next(iter(rows.values()), [])) < args.cases:
        case = Case(demo, seed)
        seed += 1
        if case.areas is None:
            continue
        locks = [Lock(case.recording, case.shapes[0], start) for start in args.starts]
        ways = {f"Concept Lock from {lock.from_percent:g}": with_lock(case.patched, lock) for lock in locks}
        for way, model in {"without": case.patched, **ways}.items():
            judged = case.judge(model, args.denoise)
            rows.setdefault(way, []).append(judged)
            print(f"{seed - 1:4} {way:24}" + "".join(f"{figure:10.2g}" for figure in judged), flush=True)
    print(f"{args.family}, {args.cases} cases: new colour, thing seen, the other kept, ground changed, difference of latents, of pixels")
    for way, judged in rows.items():
        is_new, seen, keeps, ground, latents, pixels = np.array(judged, float).T
        figures = f"{is_new.sum():6.0f}{seen.sum():6.0f}{keeps.sum():6.0f}{ground.mean():10.1%}"
        print(f"{way:24}{figures}{latents.max():12.1e}{pixels.max():12.1e}")


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=["flux", "sd3"])
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="seed of the first case")
    parser.add_argument("--denoise", type=float, default=0.9)
    parser.add_argument("--starts", type=float, nargs="+", default=[0.3], help="from_percent of the lock")
    return parser.parse_args()


if __name__ == "__main__":
    main()
