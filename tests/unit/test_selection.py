import pytest
import torch
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.maps.selection import gather, select, select_known

NAMES = ("dragon", "rock", "c + d", "sky")
MAPS = Maps(torch.zeros(1, 4, 2, 2), NAMES, 3, True, (32, 32), 16)


def chosen(text):
    return [(it.label, it.members, it.less)[: 3 if it.less else 2] for it in select(MAPS, text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rock", [("rock", (1,))]),
        ("  rock ", [("rock", (1,))]),
        ("rock + dragon", [("rock + dragon", (1, 0))]),
        ("rock+rock", [("rock+rock", (1,))]),
        ("c + d + sky", [("c + d + sky", (2, 3))]),
        ("c + d", [("c + d", (2,))]),  # a name with a plus in it goes before joining
        ("sky", [("sky", (3,))]),  # of the background list
        ("rock, dragon + sky,\nrock", [("rock", (1,)), ("dragon + sky", (0, 3))]),
        ("*", [("dragon", (0,)), ("rock", (1,)), ("c + d", (2,))]),
        ("Rock, DRAGON + Sky", [("Rock", (1,)), ("DRAGON + Sky", (0, 3))]),
        ("C + D + sky", [("C + D + sky", (2, 3))]),
        ("*, sky", [("dragon", (0,)), ("rock", (1,)), ("c + d", (2,)), ("sky", (3,))]),
        ("* - Rock", [("dragon", (0,)), ("c + d", (2,))]),
        ("* - c + d - sky, sky", [("dragon", (0,)), ("rock", (1,)), ("sky", (3,))]),
        ("dragon - rock", [("dragon - rock", (0,), (1,))]),
        ("dragon + c + d - rock - Sky", [("dragon + c + d - rock - Sky", (0, 2), (1, 3))]),
        ("rock - sky + dragon", [("rock - sky + dragon", (1, 0), (3,))]),
    ],
)
def test_what_is_chosen(text, expected):
    assert chosen(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Roc", "There is no map of 'Roc'. There are: dragon, rock, c \\+ d, sky"),
        ("rock + cat", "There is no map of 'cat'"),
        ("rock +", "There is no map of ''"),
        ("rock, cat", "There is no map of 'cat'"),
        ("rock - cat", "There is no map of 'cat'"),
        ("cat - rock", "There is no map of 'cat'"),
        ("rock-sky", "There is no map of 'rock-sky'"),  # names hold hyphens
        ("- rock", "There is no map of '- rock'"),
        ("rock - *", "There is no map of '\\*'"),
        ("rock - sky #1", "There is no map of 'sky #1'.*\"a #2\" for the second a from the left"),
        ("* #2", "There is no map of '\\*'"),
        ("cat #2", "There is no map of 'cat #2'"),
        ("rock #0", "There is no map of 'rock #0'"),
        ("* + sky", "There is no map of '\\*'"),
        ("* - cat", "There is no map of 'cat'"),
        ("* - dragon - rock - c + d", "No concept is named"),
        (" , ", "No concept is named. There are: dragon"),
        ("", "No concept is named"),
    ],
)
def test_a_name_that_is_not_there_lists_those_that_are(text, message):
    with pytest.raises(ValueError, match=message):
        select(MAPS, text)


def test_shares_are_added_and_raw_scores_are_not():
    values = torch.tensor([0.2, 0.3, 0.1, 0.4])[None, :, None, None].expand(2, 4, 3, 3)
    joined = select(MAPS, "dragon + sky, rock")
    assert gather(values, joined, softmaxed=True)[0, :, 0, 0].tolist() == pytest.approx([0.6, 0.3])
    assert gather(values, joined, softmaxed=False)[1, :, 2, 2].tolist() == pytest.approx([0.4, 0.3])


def test_case_tells_names_apart_where_it_must():
    cases = Maps(torch.zeros(1, 3, 2, 2), ("Bill", "bill", "Straße"), 3, True, (32, 32), 16)
    assert [it.members for it in select(cases, "bill, Bill, STRASSE")] == [(1,), (0,), (2,)]
    with pytest.raises(ValueError, match="There is no map of 'BILL'"):
        select(cases, "BILL")


def test_what_is_taken_away_leaves_nothing_below_0():
    values = torch.tensor([0.2, 0.3, 0.1, 0.4])[None, :, None, None].expand(2, 4, 3, 3)
    less = select(MAPS, "dragon + sky - rock, dragon - rock, rock")
    assert gather(values, less, softmaxed=True)[0, :, 0, 0].tolist() == pytest.approx([0.3, 0, 0.3])
    assert gather(values, less, softmaxed=False)[0, :, 0, 0].tolist() == pytest.approx([0.1, 0, 0.3])


def test_names_that_hold_a_minus_go_before_what_they_could_take_away():
    held = Maps(torch.zeros(1, 4, 2, 2), ("t-shirt", "a", "a - b", "b"), 4, True, (32, 32), 16)
    assert [(it.members, it.less) for it in select(held, "a - b, a - b - b, t-shirt - a - b")] == [((2,), ()), ((2,), (3,)), ((0,), (2,))]


def test_in_the_explorer_names_that_are_not_there_are_left_out():
    for text, label, unknown in [
        ("rock - cat", "rock", ["cat"]),
        ("cat - rock", "", ["cat"]),
        ("dog + dragon - cat - sky", "dragon - sky", ["dog", "cat"]),
        ("* - cat - rock", "dragon, c + d", ["cat"]),
    ]:
        known, missing = select_known(MAPS, text)
        assert (", ".join(it.label for it in known), missing) == (label, unknown)


def test_single_things():
    def things(text):
        return [(it.label, it.members, it.less, it.things) for it in select(MAPS, text)]

    assert things("Rock #2") == [("Rock #2", (1,), (), ((2,),))]
    assert things("rock#2, rock") == [("rock#2", (1,), (), ((2,),)), ("rock", (1,), (), ())]
    assert things("rock #3 + dragon + rock #1 - sky") == [("rock #3 + dragon + rock #1 - sky", (1, 0), (3,), ((3, 1), ()))]
    assert things("c + d #4 + dragon #1") == [("c + d #4 + dragon #1", (2, 0), (), ((4,), (1,)))]
    assert things("rock #2 + rock") == [("rock #2 + rock", (1,), (), ())]  # all of them
    known, unknown = select_known(MAPS, "rock #2 + cat - sky #1")
    assert ([it.label for it in known], unknown) == (["rock #2"], ["cat", "sky #1"])
    named = Maps(torch.zeros(1, 2, 2, 2), ("rock", "rock #2"), 2, True, (32, 32), 16)
    assert [it.members for it in select(named, "rock #2, rock #1")] == [(1,), (0,)]  # a name that holds a number goes first
