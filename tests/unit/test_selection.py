import pytest
import torch
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.maps.selection import gather, select

NAMES = ("dragon", "rock", "c + d", "sky")
MAPS = Maps(torch.zeros(1, 4, 2, 2), NAMES, 3, True, (32, 32), 16)


def chosen(text):
    return [(it.label, it.members) for it in select(MAPS, text)]


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
