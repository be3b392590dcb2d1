"""How well masks lie on drawn scenes, and what presence says: `python demo_training/evaluate_masks.py flux --scenes 60`.

Held-out scenes of every size are encoded as in evaluate.py, with two shapes and a ground named that are not in them. Prints
the true IoU of the things' masks for each ground and method, smooth and with edges that follow the picture, and their
boundary F-score (Csurka et al., 2013; 2 pixels); then the presence of what is there and what is not; then the masks of one
concept alone, against which the generic words or the rest of the caption compete.
"""

import argparse
from collections import defaultdict

from evaluate import FAMILIES, SIZES, Demo, concepts_of

# isort: split
import numpy as np
import torch
from concept_attention.concept_core.concepts.prompt_words import GENERIC_WORDS
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.maps.presence import presence
from concept_attention.concept_core.maps.selection import select
from concept_attention.concept_core.masks.masks import METHODS, masks
from scenes import GROUNDS, HELD_OUT, SHAPES, draw_scene
from scipy.ndimage import binary_erosion, distance_transform_edt

TOLERANCE = 2  # pixels


def absent_from(scene):
    """Two shapes and a ground."""
    shapes = [shape for shape in SHAPES if shape not in {thing.shape for thing in scene.things}]
    return shapes[:2] + [ground for ground in GROUNDS if ground != scene.ground][:1]


def show(demo, scene):
    """(maps, image [1, H, W, 3], true areas [C, H, W] bool) with the absent concepts named last."""
    names = concepts_of(scene)
    maps = decode(*demo.record(scene, names + absent_from(scene)))
    winner = torch.stack([torch.from_numpy(scene.area(name)) for name in names]).argmax(0)
    return maps, torch.from_numpy(scene.picture)[None], torch.stack([winner == place for place in range(len(names))])


def judge_alone(demo, scene, **competing):
    """True IoU of the first thing's soft mask, if it is the only concept."""
    name = concepts_of(scene)[0]
    mask = masks(decode(*demo.record(scene, [name], **competing)), name, image=torch.from_numpy(scene.picture)[None])[0]
    return iou(mask >= 0.5, torch.from_numpy(scene.area(name)) >= 0.5)


def judge_masks(maps, areas, method, image=None):
    """(true IoU, boundary F-score), each the mean over the scene's things."""
    found = masks(maps, ",".join(maps.names[: len(areas) - 1]), method, image=image) >= 0.5
    pairs = list(zip(found, areas))
    return np.mean([iou(*pair) for pair in pairs]), np.mean([boundary_f(*pair) for pair in pairs])


def iou(mask, area):
    return ((mask & area).sum() / (mask | area).sum()).item()


def boundary_f(mask, area):
    ours, theirs = _boundary(mask.numpy()), _boundary(area.numpy())
    if not ours.any():
        return 0.0
    precision = (distance_transform_edt(~theirs)[ours] <= TOLERANCE).mean()
    recall = (distance_transform_edt(~ours)[theirs] <= TOLERANCE).mean()
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _boundary(mask):
    return mask & ~binary_erosion(mask, border_value=1)


def area_under_roc(present, absent):
    present, absent = np.array(present), np.array(absent)
    return (present[:, None] > absent).mean() + (present[:, None] == absent).mean() / 2


def main():
    args = parse_args()
    demo = Demo(args.family)
    figures, scores, alone = defaultdict(list), ([], []), defaultdict(list)
    for seed in range(HELD_OUT, HELD_OUT + args.scenes):
        for size in SIZES.values():
            scene = draw_scene(seed, *size)
            maps, image, areas = show(demo, scene)
            for method in METHODS:
                smooth, followed = judge_masks(maps, areas, method), judge_masks(maps, areas, method, image)
                figures[method, scene.ground].append((*smooth, *followed))
                figures[method, "all"].append((*smooth, *followed))
            score = presence(maps, select(maps, "*"))[0].tolist()
            scores[0].extend(score[: len(areas)])
            scores[1].extend(score[len(areas) :])
            alone["generic words"].append(judge_alone(demo, scene, generic=GENERIC_WORDS))
            alone["caption as prompt"].append(judge_alone(demo, scene, prompt=scene.caption))
    print(f"{'method':12}{'ground':8}{'IoU':>12}{'boundary F':>12}{'IoU, edges':>12}{'F, edges':>12}")
    for (method, ground), rows in sorted(figures.items(), key=lambda item: METHODS.index(item[0][0])):
        print(f"{method:12}{ground:8}" + "".join(f"{figure:12.3f}" for figure in np.mean(rows, 0)))
    present, absent = scores
    print(f"\npresence: lowest of {len(present)} present {min(present):.3f}, highest of {len(absent)} absent {max(absent):.3f},")
    print(f"area under the ROC curve {area_under_roc(present, absent):.3f}\n")
    for competing, found in alone.items():
        below = np.mean(np.array(found) < 0.5)
        print(f"one concept alone, {competing}: IoU {np.mean(found):.3f}, lowest {min(found):.3f}, below a half {below:.1%}")


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--scenes", type=int, default=60, help="of each size")
    return parser.parse_args()


if __name__ == "__main__":
    main()
