"""A concept's own tokens in a text encoder's words."""

from torch import Tensor


def encode_t5(clip, text: str) -> Tensor:
    """[tokens, width]: T5's embeddings of the text's own tokens, encoded with the padding of a prompt.

    The text is taken literally: no weights, no embeddings by name.
    """
    empty = clip.tokenize("")
    words = clip.tokenizer.t5xxl.tokenizer(text)["input_ids"][:-1]
    padded = [(token, 1.0) for token in words] + empty["t5xxl"][0]
    length = max(len(empty["t5xxl"][0]), len(words) + 1)
    embeddings = clip.encode_from_tokens({**empty, "t5xxl": [padded[:length]]})
    return embeddings[0, : len(words)].float().cpu()
