"""A concept's colour follows from its name."""

import itertools

from concept_attention.concept_core.draw.palette import PALETTE, STRONG, colours_of

NAMES = ["circle", "square", "star", "grass", "sky", "rock", "dragon", "water", "a red car", "猫", "wall", "tree", "hat"]


def test_a_name_keeps_its_colour_from_version_to_version():
    assert [colours_of([name]) for name in ("grass", "dragon", "猫")] == [["4363d8"], ["911eb4"], ["46f0f0"]]
    assert colours_of(["Grass"]) == colours_of([" grass"]) == colours_of(["grass"])


def test_a_name_keeps_its_colour_in_any_list_unless_one_before_it_has_it():
    for names in itertools.permutations(NAMES, 3):
        made = colours_of(names)
        assert len(set(made)) == 3 and made[:2] == colours_of(names[:2])
        for name, colour in zip(names, made):
            (own,) = colours_of([name])
            assert colour == own or own in made[: names.index(name)]


def test_colours_are_distinct_as_long_as_there_are_some_left_and_the_strong_ones_go_first():
    names = [f"c{number}" for number in range(2 * len(PALETTE) + 1)]
    made = colours_of(names)
    assert set(made[: len(STRONG)]) == set(STRONG) and set(made[: len(PALETTE)]) == set(PALETTE)
    assert sorted(map(made.count, PALETTE)) == [2] * (len(PALETTE) - 1) + [3] and len(set(PALETTE)) == 20
