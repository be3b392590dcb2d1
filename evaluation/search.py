"""Settings chosen by data, and what such a choice is worth on pictures that it has not seen.

The highest figure of many settings flatters the one that has it. So the pictures are parted into FOLDS, the choice is made anew on all but
one of them and judged on that one; what is right there is added up over all.
"""

from dataclasses import dataclass

import numpy as np

FOLDS = 5
DRAWS = 400
RIGHT, PREDICTED, LABELLED = range(3)


@dataclass(frozen=True)
class Found:
    """mIoU in 0..1, each (its value, half of the interval that holds 95 % of those of as many pictures drawn with replacement).

    first: of the first setting. best: which is highest on all pictures. flattered: its mIoU there. honest: of the choices made without the
    pictures that they are judged on. gain: honest less first, of the same draws. agreeing: in how many of `folds` the choice was best.
    """

    first: tuple[float, float]
    flattered: tuple[float, float]
    honest: tuple[float, float]
    gain: tuple[float, float]
    best: int
    agreeing: int
    folds: int
    settings: int
    pictures: int

    @property
    def is_better(self) -> bool:
        return self.gain[0] > self.gain[1]


def counts_of(done: dict[str, dict], names: list[str], classes: int) -> np.ndarray:
    """[pictures, settings, classes, 3] pixels from what Judge.count has made of each picture."""
    counts = np.zeros((len(done), len(names), classes, 3), np.int32)
    for picture, results in enumerate(done.values()):
        for place, name in enumerate(names):
            for label, *pixels in results[name]:
                counts[picture, place, label] = pixels
    return counts


def search(counts: np.ndarray, seed: int = 0) -> Found:
    """counts: [pictures, settings, classes, 3]. ValueError for fewer than two pictures."""
    pictures, settings = counts.shape[:2]
    if pictures < 2:
        raise ValueError("A choice is judged on pictures that it was not made on: give two or more.")
    rng, folds = np.random.default_rng(seed), min(FOLDS, pictures)
    fold_of = rng.permutation(np.arange(pictures) % folds)
    total = counts.sum(0, dtype=np.int64)
    chosen = [int(mean_iou(total - counts[fold_of == fold].sum(0, dtype=np.int64)).argmax()) for fold in range(folds)]
    best = int(mean_iou(total).argmax())
    unseen = counts[np.arange(pictures), np.array(chosen)[fold_of]]
    three = np.stack([counts[:, 0], counts[:, best], unseen], 1)
    value = mean_iou(three.sum(0, dtype=np.int64))
    drawn = np.array([mean_iou(three[rng.integers(0, pictures, pictures)].sum(0, dtype=np.int64)) for _ in range(DRAWS)])
    with_gain = [np.append(values, (values[..., 2] - values[..., 0])[..., None], -1) for values in (value, drawn)]
    low, high = np.percentile(with_gain[1], [2.5, 97.5], axis=0)
    first, flattered, honest, gain = zip(with_gain[0].tolist(), ((high - low) / 2).tolist())
    return Found(first, flattered, honest, gain, best, chosen.count(best), folds, settings, pictures)


def mean_iou(sums: np.ndarray) -> np.ndarray:
    """[..., classes, 3] → [...]: the mean over the classes that are labelled or predicted anywhere."""
    union = sums[..., PREDICTED] + sums[..., LABELLED] - sums[..., RIGHT]
    there = union > 0
    return (sums[..., RIGHT] / np.where(there, union, 1)).sum(-1) / np.maximum(there.sum(-1), 1)


def report(found: Found, settings: list[dict], space: str) -> str:
    """Markdown, in per cent."""
    cells = {
        name: "{:.2f} ± {:.2f}".format(*(100 * number for number in getattr(found, name)))
        for name in ("first", "flattered", "honest", "gain")
    }
    best = settings[found.best]
    lines = [
        f"| {found.pictures} pictures, {found.settings} settings | mIoU |",
        "|---|---|",
        f"| to begin with: {_told(settings[0])} | {cells['first']} |",
        f"| the best on these very pictures, which flatters it: {_told(best)} | {cells['flattered']} |",
        f"| chosen on other pictures than it is judged on, {found.folds} times | {cells['honest']} |",
        "",
        f"The choice gains {cells['gain']} on pictures that it has not seen. {found.agreeing} of {found.folds} times it was the same.",
    ]
    if not found.is_better:
        lines += ["That is no more than the choice of pictures makes of it: keep what there was to begin with."]
    inputs = decode_node(best, space)["inputs"]
    lines += ["", "The best as inputs of Decode Concept Maps:", "", *(f"    {name}: {value}" for name, value in inputs.items())]
    return "\n".join(lines)


def _told(settings: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def decode_node(settings: dict, space: str) -> dict:
    """Decode Concept Maps as ComfyUI's API takes it, without what is connected to it."""
    fixed = {"space": space, "end_percent": 1.0, "softmax": True, "order": "auto", "steps": "all"}
    return {"class_type": "ConceptAttentionDecode", "inputs": fixed | settings}
