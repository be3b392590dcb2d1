"""What a prompt names: its words without those that name nothing in the picture."""

import re
from collections.abc import Sequence

# What fills a picture around a thing. Chosen on drawn scenes and in no other way: docs/masks.md.
GENERIC_WORDS = ("sky", "ground", "grass", "water", "sand", "snow", "wall", "brick wall", "floor", "trees")
MOST = 16  # phrases: what a long prompt names first
WEIGHTED = r"(?::\s*[-+]?[\d.]+\s*)?\)|\("  # "(word:1.2)"
BETWEEN_WORDS = r"(?:[\s()\[\]{}]|:[\d.]+)+"
BY_NAME = r"<[^>]*>|\bembedding:\S+"  # LoRAs and embeddings
NO_WORDS = r"\b__\S+__\b|\b(?:BREAK|AND|ADDCOMM|ADDBASE|ADDROW|ADDCOL)\b"  # wildcards, and what parts prompts in other nodes
THINGS_IN_ING = set(
    """
    king ring wing string spring thing something nothing everything building painting drawing ceiling clothing evening morning lightning
    sling swing sibling wedding earring dumpling duckling gosling seedling pudding viking railing awning icing stocking lining wiring
    parking crossing landing opening housing bedding darling sterling awning herring starling
    """.split()
)
LINKING = set("wearing holding carrying wielding featuring showing depicting containing including using facing looking".split())
# Words that part phrases: those that only hold a sentence together, count or compare, and those for the picture itself.
BETWEEN = set(
    """
    several a an the this that these those some any each every all both no not and or but nor so as than then if of in on at by for from
    to into onto over under above below behind beside besides between among near next with without within through across along around
    against toward towards up down out off inside outside upon about after before during while there here where when why how who whom
    whose which what is are was were be been being am has have had having do does did doing can could will would shall should may might
    must it its he his him she her hers they them their theirs we our ours us you your yours i my mine me very too also just only more
    most much many few another one two three four five six seven eight nine ten left right middle center centre top bottom front back
    background foreground photo photograph photography picture image painting drawing illustration artwork render rendering scene view
    shot style closeup detailed details highly ultra quality resolution masterpiece best realistic photorealistic cinematic hd uhd hdr
    4k 8k
    """.split()
)


def phrases(prompt: str) -> list[str]:
    """["red circle", "blue square", "grass"] of "a red circle and a blue square on grass"; the first MOST, each once."""
    text = re.sub(WEIGHTED, "", re.sub(BY_NAME, ",", prompt))
    found = []
    for clause in re.split(r"[^\w '’-]+", text):
        phrase: list[str] = []
        for word in [*clause.split(), None]:
            if word is None or word.lower() in BETWEEN:
                found.append(" ".join(phrase))
                phrase = []
            else:
                phrase.append(word)
    return list(dict.fromkeys(filter(None, found)))[:MOST]


def things_named(prompt: str, most: int = MOST, single_words: bool = False) -> list[str]:
    """["girl", "red hat", "beach"] of "a girl wearing a (red hat:1.2) on the beach"; each once, in their order, at most so many.

    A phrase ends at punctuation, at a word that names nothing in a picture (BETWEEN, LINKING), and at what somebody does: "dogs running".
    Only spaces, brackets and weights part the words within it. What has no letters, wildcards such as __animal__ and
    words of prompt syntax are left out. single_words: each word alone.
    """
    text = re.sub(WEIGHTED, "", re.sub(NO_WORDS, ",", re.sub(BY_NAME, ",", prompt)))
    found: list[str] = []
    for clause in re.split(r"[^\w '’-]+", text):
        phrase: list[str] = []
        for word in [word.strip("'’-") for word in clause.split()]:
            if names_nothing(word):
                found.append(" ".join(phrase))
                phrase = []
            elif phrase and is_doing(word):
                found += [" ".join(phrase), word]
                phrase = []
            else:
                phrase.append(word)
        found.append(" ".join(phrase))
    if single_words:
        found = [word for phrase in found for word in phrase.split()]
    once: dict[str, str] = {}
    for phrase_found in filter(None, found):
        once.setdefault(phrase_found.casefold(), phrase_found)
    return list(once.values())[:most]


def places_in(prompt: str, names: Sequence[str]) -> list[tuple[int, int, int]]:
    """[(start, end, place of the name)] of every place where one of the names stands in a prompt, none over another; longer names first.

    In upper or lower case, in singular or plural, and whatever brackets and weights stand between its words.
    """
    taken, found = [False] * len(prompt), []
    for place in sorted(range(len(names)), key=lambda place: -len(names[place])):
        words = [re.escape(word) for word in names[place].split()]
        pattern = rf"(?<!\w){BETWEEN_WORDS.join(words)}s?(?!\w)"
        for match in re.finditer(pattern, prompt, re.IGNORECASE) if words else ():
            start, end = match.span()
            if not any(taken[start:end]):
                taken[start:end] = [True] * (end - start)
                found.append((start, end, place))
    return sorted(found)


def names_nothing(word: str) -> bool:
    return word.lower() in BETWEEN | LINKING or not re.search(r"[^\W\d_]", word)


def is_doing(word: str) -> bool:
    """Whether it tells what somebody does, as "wearing" does and "building" does not."""
    return word.lower().endswith("ing") and word.lower() not in THINGS_IN_ING


def content_words(prompt: str) -> list[str]:
    """["red", "circle", "blue"] of "a (red:1.2) circle and a blue circle", then embeddings by their names. Each once."""
    named = [name.rstrip(",)") for name in re.findall(r"\bembedding:\S+", prompt)]
    text = re.sub(WEIGHTED, " ", re.sub(BY_NAME, " ", prompt))
    words = [word for word in re.findall(r"[^\W_][\w'’-]*", text) if word.lower() not in BETWEEN]
    return list(dict.fromkeys([*words, *named]))


def overlap(phrase: str, name: str) -> bool:
    """Whether one of two holds the other's words, in singular or plural: "red circles" and "circle"."""
    one, other = (f" {' '.join(word.removesuffix('s') for word in text.lower().split())} " for text in (phrase, name))
    return one in other or other in one
