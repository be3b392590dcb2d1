"""Figures of a segmentation: counted per picture and class, added up, then divided."""

from dataclasses import dataclass

import numpy as np

from .datasets import VOID


@dataclass(frozen=True)
class Counts:
    """Pixels of each class, arrays [K]: rightly predicted, predicted, labelled; and predicted where nothing is judged."""

    right: np.ndarray
    predicted: np.ndarray
    labelled: np.ndarray
    void: np.ndarray


def count(labels: np.ndarray, predicted: np.ndarray, classes: int) -> Counts:
    """labels [H, W] of 0 to K - 1 or VOID, predicted [H, W] of 0 to K - 1."""
    judged = labels != VOID
    number = lambda chosen: np.bincount(chosen, minlength=classes)  # noqa: E731
    return Counts(
        right=number(predicted[judged & (labels == predicted)]),
        predicted=number(predicted[judged]),
        labelled=number(labels[judged]),
        void=number(predicted[~judged]),
    )


def accuracy(counts: Counts) -> float:
    """Of all judged pixels."""
    return counts.right.sum() / counts.labelled.sum()


def mean_iou(counts: Counts, void_in_union: bool = False) -> float:
    """Intersection over union, the mean over the classes that are labelled or predicted anywhere."""
    union = counts.predicted + counts.labelled - counts.right + void_in_union * counts.void
    there = union > 0
    return float((counts.right[there] / union[there]).mean())


def as_authors(counts: Counts, formula: str) -> tuple[float, float]:
    """(accuracy, "mIoU") as the authors' code computes them on these data; NaN without a formula.

    "complements" (ImageNet-Segmentation): it stacks each mask with its complement and counts both at once, so that
    either class's IoU is accuracy / (2 - accuracy). "void counts half" (VOC, single class): the same stack for the
    accuracy, in which a void pixel is one of two that are wrong. "void in the union" (VOC, all classes): what is predicted
    on void pixels counts against its class.
    """
    right = accuracy(counts)
    if formula == "complements":
        return right, right / (2 - right)
    if formula == "void counts half":
        return 2 * counts.right.sum() / (2 * counts.labelled.sum() + counts.void.sum()), mean_iou(counts)
    if formula == "void in the union":
        return right, mean_iou(counts, void_in_union=True)
    return np.nan, np.nan


def average_precision(labels: np.ndarray, label: int, scores: np.ndarray) -> float:
    """Area under precision over recall of one class's scores [H, W]; NaN where it has no pixel."""
    from sklearn.metrics import average_precision_score

    judged = labels != VOID
    truth = labels[judged] == label
    return float(average_precision_score(truth, scores[judged])) if truth.any() else np.nan


def average_precision_as_authors(labels: np.ndarray, label: int, scores: np.ndarray, formula: str) -> float:
    """Of the scores and their complements at once, and of "complements" the scores are scaled to 0..1 before.

    NaN where their code computes none.
    """
    from sklearn.metrics import average_precision_score

    if formula not in ("complements", "void counts half"):
        return np.nan
    judged = labels != VOID
    truth, scores = labels[judged] == label, scores.astype(np.float64)
    if formula == "complements":
        span = scores.max() - scores.min()
        scores = (scores - scores.min()) / span if span > 0 else np.zeros_like(scores)
    stacked = np.concatenate([1 - scores[judged], scores[judged]])
    return float(average_precision_score(np.concatenate([~truth, truth]), stacked))
