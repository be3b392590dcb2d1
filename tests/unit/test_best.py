import pytest
import torch
from concept_attention.concept_core.maps.best import scores
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.masks.several import parse_repaints, present_ones

NAMES = ("circle", "star", "sand")


def batch(*shares):
    """Pictures where circle and star each have such a share of a corner of their own, and sand of all else."""
    values = torch.zeros(len(shares), 3, 8, 8)
    for row, (circle, star) in zip(values, shares):
        row[0, :4, :4], row[1, 4:, 4:] = circle, star
        row[2] = 1 - row[:2].sum(0)
    return Maps(values, NAMES, 2, True, (128, 128), 16)


def test_a_picture_is_as_good_as_what_it_shows_least():
    found = scores(batch((0.9, 0.02), (0.7, 0.8), (0.3, 0.9), (0.95, 0.6)), "circle, star")
    assert found.lowest == pytest.approx([0.02, 0.7, 0.3, 0.6]) and found.weakest == ["star", "circle", "circle", "star"]
    assert found.best(0.25) == [1, 3, 2] and found.best(0.25, 2) == [1, 3] and found.best(0.6) == [1, 3] and found.best(0.71) == []
    assert found.closest() == "picture 2, where circle has a presence of 0.70"
    assert scores(batch((0.9, 0.02)), "circle").best(0.5) == [0]
    assert scores(batch((0.9, 0.02)), "circle + star").lowest == pytest.approx([0.9])  # either
    assert scores(batch((0.9, 0.5)), "*").lowest == pytest.approx([0.5])


@pytest.mark.parametrize(
    ("maps", "concepts", "message"),
    [
        (batch((0.9, 0.9)), "heart", "There is no map of 'heart'"),
        (batch((0.9, 0.9)), "circle #2", '"circle #2": presence is of a concept, not of one thing'),
        (Maps(torch.rand(1, 2, 4, 4), ("a", "b"), 2, False, (64, 64), 16), "a", "Raw scores have no presence"),
        (Maps(torch.full((2, 2, 4, 4), 0.5), ("a", "b"), 2, True, (64, 64), 16, 4), "a", "of a clip, not of a batch"),
    ],
)
def test_what_has_no_best_picture(maps, concepts, message):
    with pytest.raises(ValueError, match=message):
        scores(maps, concepts)


def test_what_becomes_what():
    both = [("circle", "a yellow star"), ("square #2", "a (green:1.2) heart")]
    assert parse_repaints("circle: a yellow star; square #2: a (green:1.2) heart") == both
    assert parse_repaints(" circle :a yellow star\n\nsquare #2:a (green:1.2) heart;") == both


@pytest.mark.parametrize(
    ("text", "message"), [("", "nothing is named"), ("circle", '"circle" is not a'), ("a: b; : c", '": c" is not'), ("a:", '"a:" is not')]
)
def test_lines_that_cannot_be_read_are_quoted(text, message):
    with pytest.raises(ValueError, match=message):
        parse_repaints(text)


def test_what_is_not_there_is_not_repainted():
    made = batch((0.9, 0.02), (0.02, 0.02))
    assert present_ones(made, [("circle", "x")]) == [("circle", "x")]
    for concept, message in [("star", "not found"), ("circle #2", "not found"), ("circle, star", "several masks"), ("cat", "no map of")]:
        with pytest.raises(ValueError, match=message):
            present_ones(made, [("circle", "x"), (concept, "y")])
