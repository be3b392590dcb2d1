import pytest
from concept_attention.concept_core.concepts.names import check_names, joined, parse_concepts
from concept_attention.concept_core.concepts.prompt_words import MOST, overlap, phrases, places_in, things_named
from concept_attention.concept_core.families.double_stream import last_fifth
from concept_attention.concept_core.recording.blocks import check_blocks, parse_blocks


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
    ("text", "names"),
    [
        ("a + b", ["a", "b"]),
        (" a+b ", ["a", "b"]),
        ("C++", ["C++"]),
        ("C++ + a", ["C++", "a"]),
        ("a + C+++b", ["a", "C++", "b"]),
        ("a + b + c", ["a + b", "c"]),  # a name with a plus in it goes before joining
        ("c + a + b", ["c", "a + b"]),
        ("a +", None),
        ("+", None),
        ("a + d", None),
        ("a - b", ["a", "-b"]),
        ("a - C++ + b", ["a", "-C++", "b"]),
        ("c - a + b - a", ["c", "-a + b", "-a"]),
        ("a-b", None),
        ("a -", None),
        ("- a", None),
    ],
)
def test_joined_names(text, names):
    some = {"a", "b", "c", "C++"} | ({"a + b"} if "c" in text else set())
    terms = joined(text, some)
    assert (terms and ["-" * term.less + str(term) for term in terms]) == names


@pytest.mark.parametrize(
    ("shown", "hidden", "message"),
    [
        (["cat", "*"], [], r'cannot be called "\*"'),
        (["cat"], ["*"], r'cannot be called "\*"'),
        (["cat", "dog", "cat + dog"], [], '"cat \\+ dog" joins concepts'),
        (["cat+dog", "cat"], ["dog"], '"cat\\+dog" joins concepts'),
        (["cat", "dog - cat"], ["dog"], '"dog - cat" joins concepts'),
        ([], ["sky"], "No concepts: name at least one"),
    ],
)
def test_names_that_no_node_could_tell_apart(shown, hidden, message):
    with pytest.raises(ValueError, match=message):
        check_names(shown, hidden)
    check_names(["C++", "cat", "salt + pepper", "Cat + SKY"], ["sky"])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red circle and a blue square on grass", ["red circle", "blue square", "grass"]),
        ("A cinematic photo of two dogs, running behind the old (church:1.3).", ["dogs", "running", "old church"]),
        ("((castle)) [moon|river] <lora:ink:0.8> embedding:bad-hands, the king's crown", ["castle", "moon", "river", "king's crown"]),
        ("Sky, sea\nSky; sea", ["Sky", "sea"]),
        ("", []),
        ("the and of", []),
    ],
)
def test_phrases_of_a_prompt(prompt, expected):
    assert phrases(prompt) == expected


def test_a_long_prompt_gives_its_first_phrases():
    assert phrases(", ".join(f"thing{i}" for i in range(100))) == [f"thing{i}" for i in range(MOST)]


@pytest.mark.parametrize(
    ("prompt", "things"),
    [
        ("a red circle and a blue (square:1.3) on grass", ["red circle", "blue square", "grass"]),
        ("a girl wearing a (red hat:1.2), holding an umbrella", ["girl", "red hat", "umbrella"]),
        ("girl wearing red hat", ["girl", "red hat"]),
        ("two dogs running in the park, a running horse", ["dogs", "running", "park", "running horse"]),
        ("an old stone building, the king's crown", ["old stone building", "king's crown"]),
        ("((castle)) [moon|river] <lora:ink:0.8> embedding:bad-hands (embedding:x:1.1)", ["castle", "moon", "river"]),
        ("horse BREAK __animal__ in 1920s Paris, 1girl, 0.5, {cat|dog}", ["horse", "1920s Paris", "1girl", "cat", "dog"]),
        ("masterpiece, best quality, (snow-capped mountain:0.9) at golden hour", ["snow-capped mountain", "golden hour"]),
        ("Sky, sea\nsky; Sea", ["Sky", "sea"]),
        ("一只猫，红色的车", ["一只猫", "红色的车"]),
        ("the (very:1.4) and of", []),
        ("", []),
    ],
)
def test_things_that_a_prompt_names(prompt, things):
    assert things_named(prompt) == things


def test_things_may_be_single_words_and_a_few():
    prompt = "a (red:1.2) circle and a red square"
    assert things_named(prompt) == ["red circle", "red square"] and things_named(prompt, 1) == ["red circle"]
    assert things_named(prompt, single_words=True) == ["red", "circle", "square"]


def test_where_names_stand_in_a_prompt():
    def stand(prompt, *names):
        return [(prompt[start:end], names[place]) for start, end, place in places_in(prompt, names)]

    assert stand("a (red:1.2) circle, a Circle on grass", "circle", "red circle", "sky") == [
        ("red:1.2) circle", "red circle"),
        ("Circle", "circle"),
    ]
    assert stand("two dogs and a dogma, dog's", "dog") == [("dogs", "dog"), ("dog", "dog")]
    assert stand("c++ and C", "c", "c++") == [("c++", "c++"), ("C", "c")]
    for prompt in ("a girl wearing a (red hat:1.2), holding an umbrella", "((castle)) [moon|river]", "一只猫，红色的车"):
        names = things_named(prompt)
        assert [names[place] for _, _, place in places_in(prompt, names)] == names


@pytest.mark.parametrize(
    ("phrase", "name", "same"),
    [
        ("red circle", "circle", True),
        ("Red Circles", "circle", True),
        ("circle", "red circle", True),
        ("blue square", "red square", False),
        ("carpet", "car", False),
    ],
)
def test_a_phrase_about_a_concept(phrase, name, same):
    assert overlap(phrase, name) == same


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
    assert parse_blocks(text, 19, last_fifth(19)) == blocks


@pytest.mark.parametrize(
    ("text", "blocks"), [("s0", [8]), ("S0-S2", [8, 9, 10]), ("s1-2,7", [7, 9, 10]), ("all", list(range(8))), ("auto", [5, 6, 7])]
)
def test_single_blocks_come_after_the_others(text, blocks):
    assert parse_blocks(text, 11, range(5, 8), single_blocks=3) == blocks


@pytest.mark.parametrize(
    ("text", "single_blocks", "message"),
    [
        ("s3", 3, "within this model's blocks, 0-7 and s0-s2"),
        ("8", 3, "within this model's blocks, 0-7 and s0-s2"),
        ("1,s0-s2", 0, '"s0-s2" is of single blocks, and no single blocks were recorded'),
        ("1-s2", 3, "cannot read"),
        ("s2-s1", 3, "within"),
    ],
)
def test_single_blocks_that_there_are_not(text, single_blocks, message):
    with pytest.raises(ValueError, match=message):
        parse_blocks(text, 8 + single_blocks, range(5, 8), single_blocks=single_blocks)


@pytest.mark.parametrize("text", ["19-25", "19", "abc", "", "3-", "5-3", "-1", "1.5"])
def test_blocks_that_cannot_be_read_are_quoted_with_the_mend(text):
    with pytest.raises(ValueError, match=r"0-18|Write auto, all"):
        parse_blocks(text, 19, range(15, 19))


@pytest.mark.parametrize(("text", "message"), [("abc", "Write auto, all"), ("", "Write auto, all"), ("5-3", "ends before it starts")])
def test_blocks_of_no_model(text, message):
    with pytest.raises(ValueError, match=message):
        check_blocks(text)
    for right in ("auto", " ALL ", "3,5,7-9", "99", "7,s0-s9"):
        check_blocks(right)


@pytest.mark.parametrize(("depth", "blocks"), [(19, range(15, 19)), (6, range(4, 6)), (5, range(4, 5)), (8, range(6, 8)), (1, range(1))])
def test_default_blocks_are_the_last_fifth(depth, blocks):
    assert last_fifth(depth) == blocks
