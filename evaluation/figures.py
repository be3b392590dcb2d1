"""All pictures' results as a table, a CSV file and, where a knob was swept, a curve."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .metrics import Counts, accuracy, as_authors, mean_iou

COLUMNS = ("accuracy", "mIoU", "mAP", "accuracy (authors)", "mIoU (authors)", "mAP (authors)")
PER_PICTURE = ("picture", "variant", "class", "right", "predicted", "labelled", "void", "average_precision", "average_precision_authors")


@dataclass(frozen=True)
class Figures:
    """Of one variant, over all pictures. values: those of COLUMNS. presence: of what was named, (present, absent), in 0..1."""

    values: tuple[float, ...]
    presence: tuple[list[float], list[float]]


def figures_of(results: list[dict], formula: str) -> Figures:
    """Counts are added up over the pictures; average precision is the mean over pictures and classes, as is usual for each."""
    counts = sum((counts_of(result) for result in results[1:]), counts_of(results[0]))
    precisions = np.array([pair for result in results for pair in result["precision"].values() if pair[0] is not None])
    means = precisions.mean(0) if len(precisions) else (np.nan, np.nan)
    theirs = as_authors(counts, formula)
    presence = [[share for result in results for _, there, share in result["presence"] if there == wanted] for wanted in (True, False)]
    return Figures((accuracy(counts), mean_iou(counts), means[0], *theirs, means[1]), tuple(presence))


def counts_of(result: dict) -> Counts:
    return Counts(**{name: np.array(value) for name, value in result["counts"].items()})


def table(figures: dict[str, Figures], pictures: int) -> str:
    """Markdown, in per cent."""
    lines = [f"| {pictures} pictures | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [f"| {name or 'all'} | {' | '.join(f'{100 * value:.2f}' for value in its.values)} |" for name, its in figures.items()]
    if any(its.presence[1] for its in figures.values()):
        lines += ["", "| presence | present: lowest, median | absent: median, highest | area under ROC |", "|---|---|---|---|"]
        lines += [f"| {name} | {_presence(*its.presence)} |" for name, its in figures.items() if its.presence[1]]
    return "\n".join(lines)


def _presence(present, absent):
    above = np.array(present)[:, None] - np.array(absent)
    area = (above > 0).mean() + (above == 0).mean() / 2
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
    rows = {name: dict(zip(COLUMNS, map(float, its.values))) for name, its in figures.items()}
    path.write_text(json.dumps({"run": about, "figures": rows}, indent=1) + "\n", encoding="utf-8")


def draw_curve(figures: dict[str, Figures], knob: str, path: Path):
    """The first three of COLUMNS over the values of a knob."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axes = figure.subplots()
    values = [float(name) for name in figures]
    for place, (column, marker) in enumerate(zip(COLUMNS[:3], "osd")):
        axes.plot(values, [100 * its.values[place] for its in figures.values()], marker=marker, label=column)
    axes.set(xlabel=knob.rstrip("s") if knob == "blocks" else knob, ylabel="%", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
