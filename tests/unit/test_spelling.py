"""Which tokens of a prompt a word is, whatever cuts the prompt into tokens."""

import pytest
from concept_attention.concept_core.concepts.spelling import Spelled, bytes_of, unweighted

PROMPT = "a fluffy Cat, the cat's hat (in a café) and 2 hotdogs\nof 山水画 and naïve_art"


def spelled(*cuts, text=PROMPT):
    data = text.encode()
    return Spelled(data[start:stop] for start, stop in zip((0, *cuts), (*cuts, len(data))))


def each_byte():
    return spelled(*range(1, len(PROMPT.encode())))


@pytest.mark.parametrize(
    ("word", "letters"),
    [("fluffy", 1), ("cat", 2), ("CAFÉ", 1), ("cat's hat", 1), ("fluffy cat", 1), ("山水画", 1), ("水", 1), ("naïve", 0), ("2", 1)],
)
def test_all_of_a_word_s_tokens_in_all_its_places(word, letters):
    prompt = PROMPT.lower()
    starts = [place for place in range(len(prompt)) if prompt.startswith(word.lower(), place)]
    expected = [len(prompt[:start].encode()) + offset for start in starts for offset in range(len(word.lower().encode()))]
    assert each_byte().places_of(word) == (expected if letters else [])


@pytest.mark.parametrize("word", ["dogs", "hot", "fluff", "at", "cat hat", "horse", "", " "])
def test_what_is_not_there(word):
    assert each_byte().places_of(word) == []


def test_tokens_of_several_letters_and_of_parts_of_one():
    text = Spelled([b"a", b" fl", b"uffy", b" \xe5\xb1", b"\xb1\xe6\xb0\xb4", b" cat,", b"cat"])
    assert [text.places_of(word) for word in ("fluffy", "山", "水", "cat")] == [[1, 2], [3, 4], [4], [5, 6]]


def test_an_embedding_ends_a_word_and_a_long_prompt_s_next_part_does_not():
    text = Spelled([b"", b"red ", None, None, b"dog", b"s \xe5", b"", b"", b"\xb1\xb1", b""])
    assert [text.places_of(word) for word in ("red", "red dog", "dogs", "dog", "dogs 山")] == [[1], [], [4, 5], [], [4, 5, 8]]


def test_entries_of_vocabularies():
    assert bytes_of("\u2581cat", False) == b" cat" and bytes_of("<0xE5>", False) == b"\xe5" and bytes_of("ăĠ", False) == "ăĠ".encode()
    assert bytes_of("Ġcat", True) == b" cat" and bytes_of("cat</w>", True) == b"cat " and bytes_of("å±±", True) == "山".encode()


@pytest.mark.parametrize(
    ("typed", "word"), [("(dog:1.2)", "dog"), ("((red dog))", "red dog"), (" dog ", "dog"), ("(dog : 0.5)", "dog"), (":1.2", ":1.2")]
)
def test_weights_are_no_part_of_a_word(typed, word):
    assert unweighted(typed) == word
