"""What is left out unless --every is given: never a family, nor a case."""

from itertools import product

from kinds import KINDS, SORTS, by_turns

CASES = [(1, "x"), (2, "y"), (3, "z")]


def test_each_name_and_each_case_has_its_turn():
    made = by_turns("abcdefg", CASES)
    assert sorted(one.values for one in made) == sorted((name, *case) for name, case in product("abcdefg", CASES))
    always = [one.values for one in made if not one.marks]
    assert {name for name, *_ in always} == set("abcdefg") and len(always) == 7 + len(CASES) - 1
    assert all(2 <= sum(tuple(rest) == case for _, *rest in always) <= 4 for case in CASES)


def test_the_sorts_are_families():
    assert set(SORTS) <= set(KINDS)
