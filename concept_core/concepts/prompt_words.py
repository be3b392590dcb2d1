"""What a prompt names: its words without those that name nothing in the picture."""

import re

# What fills a picture around a thing. Chosen on drawn scenes and in no other way: docs/masks.md.
GENERIC_WORDS = ("sky", "ground", "grass", "water", "sand", "snow", "wall", "brick wall", "floor", "trees")
MOST = 16  # phrases: what a long prompt names first
WEIGHTED = r"(?::\s*[-+]?[\d.]+\s*)?\)|\("  # "(word:1.2)"
BY_NAME = r"<[^>]*>|\bembedding:\S+"  # LoRAs and embeddings
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
