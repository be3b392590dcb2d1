"""How well the demo video model's maps and masks lie on drawn clips: `python demo_training/evaluate_clips.py --clips 40`.

Each held-out clip is encoded, noised and shown to the model once per noise level, as evaluate.py shows scenes. For each way to make
masks it prints, over all things and frames, the mean IoU and its tenth percentile; the correlation of the mask's centre of mass with the
thing's along its motion, the mean over the things that move and the lowest; and the flicker of the mask's border: pixels that change
from a frame to the next and ought not to, or the reverse, per pixel of the true border.

With --painted the model samples the captions instead, and what is where follows from the colours of its own frames.
"""

import argparse

from evaluate import SIGMAS, Demo, concepts_of

# isort: split
import numpy as np
import torch
from clips import DIRECTIONS, FRAMES, SIZE, WORLDS, draw_clip
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.masks.masks import masks
from scenes import HELD_OUT, coverage_by_colour
from scipy.ndimage import binary_erosion

FAMILY = "hunyuan-video"
WAYS = {  # method, whether edges follow the frames
    "soft, refined": ("soft", True),
    "soft": ("soft", False),
    "winner, refined": ("winner", True),
    "winner": ("winner", False),
}


class Judged:
    """Figures of one thing's masks [F, H, W] beside where it is."""

    def __init__(self, mask, area, motion):
        mask, area = mask >= 0.5, area >= 0.5
        self.iou = [(m & a).sum() / max(1, (m | a).sum()) for m, a in zip(mask, area)]
        self.along = None if motion is None or not any(DIRECTIONS[motion]) else correlation(mask, area, DIRECTIONS[motion])
        wrong = (mask[1:] ^ mask[:-1]) ^ (area[1:] ^ area[:-1])
        border = sum((a & ~binary_erosion(a)).sum() for a in area[1:])
        self.flicker = wrong.sum() / max(1, border)


def correlation(mask, area, direction):
    """Of the centres of mass along a direction, over the frames; 0 where a frame's mask is empty."""
    if not mask.any((1, 2)).all():
        return 0.0
    x, y = direction
    places = [np.array([x * xs.mean() + y * ys.mean() for ys, xs in map(np.nonzero, frames)]) for frames in (mask, area)]
    return float(np.corrcoef(*places)[0, 1])


def judge_clip(maps, frames, areas, motions, method, refined):
    """[Judged] of the clip's things. frames: [F, H, W, 3]; areas: [C, F, H, W], the ground last; motions: of the things, or None."""
    names = maps.names[: len(areas) - 1]
    found = masks(maps, ",".join(names), method, image=frames if refined else None, min_area=0.001)
    found = found.unflatten(0, (len(names), -1)).numpy()
    return [Judged(*each) for each in zip(found, areas, motions)]


def show(demo, clip, sigmas=SIGMAS):
    """(maps, frames, areas, motions) of a drawn clip."""
    names = concepts_of(clip)
    maps = decode(*demo.record(clip, names, sigmas))
    return maps, torch.from_numpy(clip.frames), np.stack([clip.area(name) for name in names]), [t.motion for t in clip.things]


def paint(demo, clip, seed):
    """The same of a clip that the model samples from the caption of a drawn one."""
    recording, samples, frames = demo.paint(clip.caption, concepts_of(clip), (SIZE, SIZE), seed, frames=FRAMES)
    colours = [thing.colour for thing in clip.things]
    areas = np.stack([coverage_by_colour(frame.numpy(), colours, clip.ground) for frame in frames], 1)
    return decode(recording, samples), frames, areas, [None for _ in colours]


def main():
    args = parse_args()
    demo = Demo(FAMILY)
    judged = {way: [] for way in WAYS}
    for seed in range(HELD_OUT, HELD_OUT + args.clips):
        clip = draw_clip(seed, world=WORLDS[args.world])
        shown = paint(demo, clip, seed) if args.painted else show(demo, clip)
        for way, choices in WAYS.items():
            judged[way] += judge_clip(*shown, *choices)
    print(f"{'masks':18}{'IoU':>8}{'10 %':>8}{'centre':>9}{'lowest':>9}{'flicker':>9}")
    for way, things in judged.items():
        ious = np.concatenate([thing.iou for thing in things])
        along = [thing.along for thing in things if thing.along is not None] or [np.nan]
        flicker = np.mean([thing.flicker for thing in things])
        print(f"{way:18}{ious.mean():8.3f}{np.quantile(ious, 0.1):8.3f}{np.mean(along):9.4f}{min(along):9.4f}{flicker:9.3f}", flush=True)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="small")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--painted", action="store_true", help="judge the model's own clips")
    return parser.parse_args()


if __name__ == "__main__":
    main()
