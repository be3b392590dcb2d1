"""A prompt as its tokens spell it, and which of them a word is."""

import codecs
import re
from collections.abc import Iterable

WEIGHT = re.compile(r"^\(+|(?::\s*[-+]?[\d.]+\s*)?\)+$")  # "(dog:1.2)" means the dog
PIECES = re.compile(r"[^\W\d_]+|\S|\s+")  # as far as text encoders keep letters together
# Letters of scripts that write words apart; Thai, Chinese and Japanese do not.
LETTER = r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ufaff\U00020000-\U0003ffff]"
NO_TEXT = b"\0"  # what ends a word and is no space


def unweighted(word: str) -> str:
    return WEIGHT.sub("", word.strip()).strip()


class Spelled:
    """pieces: what each token spells, in UTF-8: nothing, if it is no part of the text; None for what ends a word and spells none."""

    def __init__(self, pieces: Iterable[bytes | None]):
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        letters, self.owners = [], list[list[int]]()  # of each letter, the tokens that spell it
        begun: list[int] = []  # tokens of a letter that has not ended
        for place, piece in enumerate(pieces):
            if piece == b"":
                continue
            made = decoder.decode(NO_TEXT if piece is None else piece)
            letters.append(made)
            self.owners += [[*begun, place], *[[place]] * (len(made) - 1)] if made else []
            begun = [*([] if made else begun), place] if decoder.getstate()[0] else []
        self.text = "".join(letters)

    def places_of(self, word: str) -> list[int]:
        """All tokens of every place where it stands as a word of its own, in upper or lower case."""
        pieces = PIECES.findall(word.strip())
        if not pieces:
            return []
        # Some tokenizers write "cat's" as "cat 's".
        pattern = r"\s*".join(r"\s" if piece.isspace() else re.escape(piece) for piece in pieces)
        before = f"(?<!{LETTER})" if re.match(LETTER, pieces[0]) else ""
        behind = f"(?!{LETTER})" if re.match(LETTER, pieces[-1][-1]) else ""
        found = re.finditer(before + pattern + behind, self.text, re.IGNORECASE)
        return sorted({place for match in found for owners in self.owners[match.start() : match.end()] for place in owners})


def bytes_of(piece: str, by_bytes: bool) -> bytes:
    """What an entry of a vocabulary spells. by_bytes: its letters stand for bytes, as GPT-2's and CLIP's do; SentencePiece's do not."""
    if by_bytes:
        whole = piece.removesuffix("</w>")  # ends a word
        return bytes(BYTES.get(letter, 0) for letter in whole) + b" " * (whole != piece)
    byte = re.fullmatch(r"<0x([0-9A-F]{2})>", piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("\u2581", " ").encode()


def _bytes_by_letter() -> dict[str, int]:
    """GPT-2's letters for bytes: printable ones are themselves, the others follow from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}


BYTES = _bytes_by_letter()
