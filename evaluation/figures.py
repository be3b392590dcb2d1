"""All pictures' results as a table, a CSV file and, where a knob was swept, a curve."""

import csv
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .metrics import Counts, accuracy, as_authors, mean_iou

COLUMNS = ("accuracy", "mIoU", "mAP", "accuracy (authors)", "mIoU (authors)", "mAP (authors)")
PER_PICTURE = ("picture", "variant", "class", "right", "predicted", "labelled", "void", "average_precision", "average_precision_authors")
DRAWS = 400


@dataclass(frozen=True)
class Figures:
    """Of one variant, over all pictures. values: those of COLUMNS. spread: how far each may be off, by the choice of pictures.

    presence: of what was named, (present, absent), in 0..1.
    """

    values: np.ndarray
    spread: np.ndarray
    presence: tuple[list[float], list[float]]


def figures_of(results: list[dict], formula: str) -> Figures:
    """Counts are added up over the pictures; average precision is the mean over pictures and classes, as is usual for each.

    The spread is half of the interval that holds 95 % of the figures of as many pictures drawn with replacement.
    """
    counts = Counts(*(np.array([result["counts"][field.name] for result in results]) for field in fields(Counts)))
    precisions = [np.array(list(result["precision"].values()), dtype=float).reshape(-1, 2) for result in results]
    sums = np.array([np.nansum(pairs, 0) for pairs in precisions])
    numbers = np.array([(~np.isnan(pairs)).sum(0) for pairs in precisions])

    def values_of(chosen):
        total = Counts(*(pixels[chosen].sum(0) for pixels in vars(counts).values()))
        with np.errstate(invalid="ignore"):
            precision = sums[chosen].sum(0) / numbers[chosen].sum(0)
        return np.array([accuracy(total), mean_iou(total), precision[0], *as_authors(total, formula), precision[1]])

    rng, every = np.random.default_rng(0), np.arange(len(results))
    low, high = np.percentile([values_of(rng.choice(every, len(every))) for _ in range(DRAWS)], [2.5, 97.5], axis=0)
    presence = [[share for result in results for _, there, share in result["presence"] if there == wanted] for wanted in (True, False)]
    return Figures(values_of(every), (high - low) / 2, tuple(presence))


def table(figures: dict[str, Figures], pictures: int) -> str:
    """Markdown, in per cent, ± the spread."""
    lines = [f"| {pictures} pictures | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, its in figures.items():
        cells = ["–" if np.isnan(value) else f"{100 * value:.2f} ± {100 * off:.2f}" for value, off in zip(its.values, its.spread)]
        lines.append(f"| {name or 'all'} | {' | '.join(cells)} |")
    if any(its.presence[1] for its in figures.values()):
        lines += ["", "| presence | present: lowest, median | absent: median, highest | area under ROC |", "|---|---|---|---|"]
        lines += [f"| {name} | {_presence(*its.presence)} |" for name, its in figures.items() if its.presence[1]]
    return "\n".join(lines)


def _presence(present, absent):
    from sklearn.metrics import roc_auc_score

    area = roc_auc_score([True] * len(present) + [False] * len(absent), present + absent)
    return f"{min(present):.3f}, {np.median(present):.3f} | {np.median(absent):.3f}, {max(absent):.3f} | {area:.4f}"


def write_csv(done: dict[str, dict], classes: list[str], path: Path):
    """One line for each picture, variant and class."""
    with open(path, "w", newline="", encoding="utf-8") as sink:
        writer = csv.writer(sink)
        writer.writerow(PER_PICTURE)
        for picture, variants in done.items():
            for variant, result in variants.items():
                for label, name in enumerate(classes):
                    numbers = [result["counts"][field][label] for field in ("right", "predicted", "labelled", "void")]
                    if any(numbers):
                        writer.writerow([picture, variant, name, *numbers, *result["precision"].get(str(label), (None, None))])


def write_json(figures: dict[str, Figures], about: dict, path: Path):
    rows = {name: dict(zip(COLUMNS, its.values.tolist())) for name, its in figures.items()}
    spreads = {name: dict(zip(COLUMNS, its.spread.tolist())) for name, its in figures.items()}
    path.write_text(json.dumps({"run": about, "figures": rows, "spread": spreads}, indent=1) + "\n", encoding="utf-8")


def draw_curve(figures: dict[str, Figures], knob: str, path: Path):
    """The first three of COLUMNS over the values of a knob."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axes = figure.subplots()
    knobs = [float(name) for name in figures]
    heights, spread = (100 * np.array([getattr(its, part) for its in figures.values()]).T for part in ("values", "spread"))
    for place, marker in enumerate("osd"):
        axes.errorbar(knobs, heights[place], spread[place], marker=marker, capsize=2, label=COLUMNS[place])
    axes.set(xlabel=knob.rstrip("s") if knob == "blocks" else knob, ylabel="%", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
