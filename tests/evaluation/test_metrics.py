"""Figures against scikit-learn's, void pixels included, and the authors' formulas against their way of counting."""

import numpy as np
import pytest
from concept_attention.evaluation.datasets import VOID
from concept_attention.evaluation.figures import figures_of
from concept_attention.evaluation.metrics import (
    accuracy,
    as_authors,
    average_precision,
    average_precision_as_authors,
    count,
    mean_iou,
)
from sklearn.metrics import accuracy_score, average_precision_score, jaccard_score

CLASSES = 6


def drawn(seed, void=0.2, classes=CLASSES):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (31, 17)).astype(np.uint8)
    predicted = np.where(rng.random(labels.shape) < 0.6, labels, rng.integers(0, classes, labels.shape)).astype(np.uint8)
    labels[rng.random(labels.shape) < void] = VOID
    return labels, predicted, rng.random(labels.shape).round(2)


@pytest.mark.parametrize("void", [0.0, 0.2])
def test_accuracy_and_iou_over_several_pictures(void):
    pairs = [drawn(seed, void)[:2] for seed in range(4)]
    labels, predicted = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    counts = count(labels, predicted, CLASSES)
    judged = labels != VOID
    assert accuracy(counts) == pytest.approx(accuracy_score(labels[judged], predicted[judged]), abs=1e-12)
    assert mean_iou(counts) == pytest.approx(jaccard_score(labels[judged], predicted[judged], average="macro"), abs=1e-12)


def test_classes_that_are_nowhere_do_not_count():
    labels = np.array([[0, 0, 1, 1]], np.uint8)
    assert mean_iou(count(labels, np.array([[0, 1, 1, 1]], np.uint8), 5)) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert mean_iou(count(labels, np.array([[0, 4, 1, 1]], np.uint8), 5)) == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_average_precision():
    labels, _, scores = drawn(7)
    judged = labels != VOID
    expected = average_precision_score(labels[judged] == 3, scores[judged])
    assert average_precision(labels, 3, scores) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(average_precision(labels, 9, scores))
    # by hand: in the order of the scores right, wrong, right
    assert average_precision(np.array([[1, 0, 1, VOID]]), 1, np.array([[0.9, 0.8, 0.7, 1.0]])) == pytest.approx((1 + 2 / 3) / 2)


def stacked(labels, predicted):
    """The authors' counting of a mask beside its complement, written out: (correct, labelled, intersection, union) of both."""
    labels = labels.astype(int)
    labels[labels == VOID] = -1
    target, mask = np.stack([1 - labels, labels]) + 1, np.stack([1 - predicted.astype(int), predicted.astype(int)]) + 1
    correct, labelled = ((mask == target) & (target > 0)).sum(), (target > 0).sum()
    mask = mask * (target > 0)
    inter = mask * (mask == target)
    areas = [np.histogram(x, bins=2, range=(1, 2))[0] for x in (inter, mask, target)]
    return correct / labelled, (areas[0] / (areas[1] + areas[2] - areas[0])).mean()


def test_the_authors_formula_is_accuracy_over_two_minus_accuracy():
    labels, predicted, _ = drawn(1, void=0, classes=2)
    theirs = as_authors(count(labels, predicted, 2), "complements")
    assert theirs == pytest.approx(stacked(labels, predicted), abs=1e-12)
    assert theirs[1] == pytest.approx(theirs[0] / (2 - theirs[0]), abs=1e-12)
    nothing_found = count(np.array([[1] + [0] * 9], np.uint8), np.zeros((1, 10), np.uint8), 2)
    assert (as_authors(nothing_found, "complements")[1], mean_iou(nothing_found)) == pytest.approx((0.9 / 1.1, (0.9 + 0) / 2))
    assert 0.8307 / (2 - 0.8307) == pytest.approx(0.7104, abs=1e-4)  # as published


def test_the_authors_accuracy_where_void_counts_half():
    labels, predicted, _ = drawn(2, classes=2)
    theirs = as_authors(count(labels, predicted, 2), "void counts half")
    assert theirs[0] == pytest.approx(stacked(labels, predicted)[0], abs=1e-12)
    assert theirs[1] == mean_iou(count(labels, predicted, 2))


def test_the_authors_union_with_void():
    labels, predicted, _ = drawn(3)
    expected = [((predicted == c) & (labels == c)).sum() / ((predicted == c) | (labels == c)).sum() for c in range(CLASSES)]
    assert as_authors(count(labels, predicted, CLASSES), "void in the union")[1] == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("formula", ["complements", "void counts half"])
def test_the_authors_average_precision_is_of_both_classes_at_once(formula):
    labels, _, scores = drawn(4, classes=2)
    scores, judged = 0.3 + scores / 2, labels != VOID
    scaled = (scores - scores.min()) / (scores.max() - scores.min()) if formula == "complements" else scores
    truth = np.stack([labels == 0, labels == 1])[:, judged].flatten()
    expected = average_precision_score(truth, np.stack([1 - scaled, scaled])[:, judged].flatten())
    assert average_precision_as_authors(labels, 1, scores, formula) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(average_precision_as_authors(labels, 1, scores, "void in the union"))


def test_the_spread_is_that_of_a_proportion():
    """Half of the pictures all right, half all wrong: 100 drawn anew vary by 1.96 · √(0.25 / 100)."""
    results = [
        {"counts": {"right": [n % 2], "predicted": [1], "labelled": [1], "void": [0]}, "precision": {}, "presence": []} for n in range(100)
    ]
    figures = figures_of(results, "complements")
    assert figures.values[0] == 0.5 and figures.spread[0] == pytest.approx(0.098, abs=0.015) and np.isnan(figures.values[2])


def test_pictures_are_added_up():
    results = []
    for seed in range(3):
        labels, predicted, scores = drawn(seed)
        counts = {name: value.tolist() for name, value in vars(count(labels, predicted, CLASSES)).items()}
        results.append({"counts": counts, "precision": {"3": (average_precision(labels, 3, scores), 0.5)}, "presence": []})
    figures = figures_of(results, "void in the union")
    every = [drawn(seed) for seed in range(3)]
    labels, predicted = (np.concatenate([one[i].flatten() for one in every]) for i in (0, 1))
    assert figures.values[:2] == pytest.approx((accuracy(count(labels, predicted, 6)), mean_iou(count(labels, predicted, 6))))
    assert (figures.spread[:3] > 0).all()
    assert figures.values[2] == pytest.approx(np.mean([average_precision(labels, 3, scores) for labels, _, scores in every]))
