import pytest
from concept_attention.concept_core.blocks import parse_blocks
from concept_attention.concept_core.concepts import parse_concepts
from concept_attention.concept_core.families.flux import Flux1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("dragon, rock, sky", ["dragon", "rock", "sky"]),
        ("dragon\nrock\r\nsky", ["dragon", "rock", "sky"]),
        (" stormy sky ,, \n , rock,", ["stormy sky", "rock"]),
        ("cat, dog, cat", ["cat", "dog"]),
        ("", []),
    ],
)
def test_concepts_are_split_at_commas_and_lines(text, names):
    assert parse_concepts(text) == names


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("auto", [15, 16, 17, 18]),
        ("all", list(range(19))),
        ("15-18", [15, 16, 17, 18]),
        ("3,5,7-9", [3, 5, 7, 8, 9]),
        (" 7 - 9 ,1", [1, 7, 8, 9]),
        ("4,4,3-5", [3, 4, 5]),
    ],
)
def test_blocks(text, blocks):
    assert parse_blocks(text, 19, Flux1.default_blocks(19)) == blocks


@pytest.mark.parametrize("text", ["19-25", "19", "abc", "", "3-", "5-3", "-1", "1.5"])
def test_blocks_that_cannot_be_read_are_quoted_with_the_mend(text):
    with pytest.raises(ValueError, match=r"0-18|Write auto, all"):
        parse_blocks(text, 19, range(15, 19))


@pytest.mark.parametrize(("depth", "blocks"), [(19, range(15, 19)), (6, range(4, 6)), (5, range(4, 5)), (8, range(6, 8)), (1, range(1))])
def test_default_blocks_are_the_last_fifth(depth, blocks):
    assert Flux1.default_blocks(depth) == blocks
