"""Whether a LoRA keeps to its region: `python demo_training/evaluate_lora.py --prompts 12`.

The demo Flux paints two coloured things on a plain ground, and twice more with the same noise and the LoRA that stripes things: on
the whole prompt, and in a Concept Region of the first thing. Where the things are follows from the colours of the first picture. Printed
are for each way how many of the first things and of the second ones are striped (white on a tenth or more of what is painted there; half
of it is what the LoRA was trained to paint), how many of the second ones have their own colour on nine tenths of their area or more; and
by how much the second thing's mean colour differs from the first picture's, beside how much it differs between prompts of things of the
same colour (in root mean square of 0 to 1).
"""

import argparse

import comfy_path  # noqa: F401

# isort: split
import comfy.hooks
import numpy as np
from concept_attention.concept_core.record.regions import with_region
from concept_attention.concept_core.steer.region import Region
from concept_attention.demo_model.flux import load_stripes
from evaluate import Demo
from evaluate_regions import Case, joined
from scenes import COLOURS, GROUNDS

WAYS = ("without", "on the whole prompt", "Concept Region")


def main():
    args = parse_args()
    demo, rows, seed, own = Demo("flux"), {way: [] for way in WAYS}, args.first, {}
    hooks = comfy.hooks.create_hook_lora(load_stripes(), 1.0, 0.0)
    while len(rows[WAYS[0]]) < args.prompts:
        case = Case(demo, seed)
        seed += 1
        if case.areas is None:
            continue
        for way, picture in zip(WAYS, pictures_of(case, hooks)):
            colour, judged = judge(case, picture)
            if way == WAYS[0]:
                first = colour
                own.setdefault(case.colours[1], []).append(colour)
            rows[way].append((*judged, ((colour - first) ** 2).mean()))
            print(f"{seed - 1:4} {way:24}" + "".join(f"{figure:10.3f}" for figure in rows[way][-1]), flush=True)
    between = np.concatenate([(np.array(colours) - np.mean(colours, 0)) ** 2 for colours in own.values() if len(colours) > 1])
    print(f"{args.prompts} prompts: the first striped, the second striped, the second with its own colour, change of its mean colour")
    for way, judged in rows.items():
        first, second, keeps, change = np.array(judged, float).T
        print(f"{way:24}{(first >= 0.1).sum():6}{(second >= 0.1).sum():6}{(keeps >= 0.9).sum():6}{change.mean() ** 0.5:10.3f}")
    print(f"between prompts its mean colour differs by {between.mean() ** 0.5:.3f}")


def pictures_of(case, hooks):
    prompt = case.prompt(case.colours[0])
    hooked = comfy.hooks.set_hooks_for_conditioning(prompt, hooks)
    regional = with_region(hooked, Region(case.recording, case.shapes[0], 0.1))
    yield case.plain[1]
    yield case.paint(hooked)[1]
    yield case.paint(joined(regional, prompt, "default"))[1]


def judge(case, picture):
    """(mean colour of the second thing, (white on the first, white on the second, the second's own colour on it))."""
    pixels = picture.numpy()
    first, second = case.areas
    colours = [COLOURS[colour] for colour in case.colours[:2]] + [(1.0, 1.0, 1.0), *GROUNDS[case.ground]]
    nearest = np.linalg.norm(pixels[:, :, None] - np.array(colours), axis=-1).argmin(-1)
    white, painted = nearest == 2, nearest < 3
    own = (nearest[second] == 1).mean()
    return pixels[second].mean(0), (share(white, first & painted), share(white, second & painted), own)


def share(white, where):
    return white[where].mean() if where.any() else 0.0


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="seed of the first prompt")
    return parser.parse_args()


if __name__ == "__main__":
    main()
