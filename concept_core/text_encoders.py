"""A concept's own tokens in a text encoder's words, encoded alone and with the padding of a prompt.

The text is taken literally: no weights, no embeddings by name.
"""

from torch import Tensor


def encode_t5(clip, text: str) -> Tensor:
    """[tokens, width]: T5's embeddings of the text's own tokens, never its end token.

    ValueError for a CLIP without T5, or letters that T5 does not know.
    """
    check_loaded(clip, ["t5xxl"], "T5-XXL", "clip")
    empty = clip.tokenize("")
    tokenizer = clip.tokenizer.t5xxl.tokenizer
    words = tokenizer(text)["input_ids"][:-1]
    if tokenizer.unk_token_id in words:
        raise ValueError(
            f"T5 does not know all letters of the concept {text!r} and would take it for any other such word: write it in English."
        )
    padded = [(token, 1.0) for token in words] + empty["t5xxl"][0]
    length = max(len(empty["t5xxl"][0]), len(words) + 1)
    embeddings = clip.encode_from_tokens({**empty, "t5xxl": [padded[:length]]})
    start = embeddings.shape[1] - length  # SD3 puts T5's tokens behind CLIP's
    return embeddings[0, start : start + len(words)].float().cpu()


def encode_clip_lg(clip, text: str) -> Tensor:
    """[tokens, width]: CLIP-L's and CLIP-G's embeddings side by side, without start and end token.

    ValueError for a CLIP without either, or more tokens than fit into one prompt of CLIP's.
    """
    check_loaded(clip, ["clip_l", "clip_g"], "CLIP-L and CLIP-G", "t5")
    empty = clip.tokenize("")
    words = clip.tokenizer.clip_l.tokenizer(text)["input_ids"][1:-1]
    room = len(empty["l"][0]) - 2
    if len(words) > room:
        raise ValueError(f'The concept "{text[:60]}…" has {len(words)} tokens, and CLIP reads {room} at once: make it shorter.')
    tokens = {}
    for part in ("l", "g"):
        start, *end_and_padding = empty[part][0]
        tokens[part] = [[start, *((word, 1.0) for word in words), *end_and_padding][: room + 2]]
    embeddings = clip.encode_from_tokens({**empty, **tokens})
    return embeddings[0, 1 : 1 + len(words)].float().cpu()


def check_loaded(clip, parts, name, other):
    if all(getattr(clip.cond_stage_model, part, None) is None for part in parts):
        raise ValueError(f"This CLIP was loaded without {name}: load it with {name}, or set encoder to {other}.")
