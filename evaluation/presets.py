"""Protocols and ablations, as presets.toml names them."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tomllib

FILE = Path(__file__).with_name("presets.toml")
CHOICES = {
    "data": ("imagenet", "voc", "folder", "scenes"),
    "classes": ("all", "single"),
    "upsample": ("nearest", "smooth", "edges"),
    "cut": ("argmax", "mean"),
    "method": ("concepts", "prompt words", "daam", "daam as published"),
    "authors": ("", "complements", "void counts half", "void in the union"),
}


@dataclass(frozen=True)
class Protocol:
    """Every knob of an evaluation. What is of the maps has the names and values of the nodes' widgets."""

    data: str  # how pictures and labels are read
    classes: str = "all"  # "all": what is in a picture is named; "single": pictures of one class, it against the rest
    names: tuple[str, ...] = ()  # words for the classes 1, 2, …, where the data have none
    prompt: str = ""  # "{}" is each class's word, in a list; "{caption}" the picture's caption, if it has one
    background: tuple[str, ...] = ()
    method: str = "concepts"  # "prompt words": of the prompt, all that is named; "daam": which is listed behind it; see docs/evaluation.md
    absent: int = 0  # how many classes are named that are not in the picture
    tokens: str = "all tokens"
    encoder: str = "auto"
    resize: tuple[str, ...] = ()  # one after the other: "HEIGHTxWIDTH method", or "fit LONGER method"
    noise: float = 0.5
    samples: int = 1
    seed: int = 0
    as_authors: bool = False
    attends_to: tuple[str, ...] = ("concepts", "image")
    single_blocks: bool = False
    space: str = "output"
    blocks: str = "auto"
    softmax: bool = True
    temperature: float = 1.0
    blur: float = 0.0  # of the map, sigma in tokens, over 3 x 3 of them
    upsample: str = "nearest"  # from tokens to pixels; "edges": smooth, and following the picture's
    cut: str = "argmax"  # or "mean": single classes, where the map is above its mean
    labels: int = 0  # side in pixels that labels are judged at, square; 0: as they are
    authors: str = ""  # how the authors' code computes its figures on these data, if it does

    def __post_init__(self):
        for knob, choices in CHOICES.items():
            if getattr(self, knob) not in choices:
                raise ValueError(f"{knob}: {getattr(self, knob)!r} is none of {', '.join(choices)}.")
        if self.cut == "mean" and self.classes != "single":
            raise ValueError('cut: "mean" judges one class against the rest; set classes to "single".')

    def recorded(self) -> tuple:
        """What asks for a recording of its own; all else is decoded from one."""
        decoded = ("space", "blocks", "softmax", "temperature", "blur", "upsample", "cut", "labels", "authors")
        return tuple(getattr(self, field.name) for field in fields(self) if field.name not in decoded)

    def decoding(self) -> dict[str, Any]:
        """Decode's inputs beside recording, samples and space."""
        return {"blocks": self.blocks, "softmax": self.softmax, "temperature": self.temperature}

    def changed(self, knobs: dict[str, Any]) -> "Protocol":
        unknown = set(knobs) - {field.name for field in fields(self)}
        if unknown:
            raise ValueError(f"There is no knob {', '.join(sorted(unknown))}. There are: {', '.join(f.name for f in fields(self))}.")
        for knob, value in knobs.items():
            wanted = type(getattr(self, knob))
            if not isinstance(value, {tuple: list, float: (float, int)}.get(wanted, wanted)) or isinstance(value, bool) != (wanted is bool):
                raise ValueError(f"{knob}: {value!r} is not of the kind of {getattr(self, knob)!r}.")
        return replace(self, **{knob: tuple(value) if isinstance(value, list) else value for knob, value in knobs.items()})


def protocol_named(name: str, changes: dict[str, Any]) -> Protocol:
    """ValueError where there is none of that name, or no such knob."""
    knobs = _chosen("protocols", name)
    return Protocol(data=knobs["data"]).changed(knobs).changed(changes)


def variants_of(protocol: Protocol, ablation: str | None, depth: int) -> dict[str, Protocol]:
    """Name → protocol; depth: how many blocks the model has."""
    if ablation is None:
        return {"": protocol}
    chosen = _chosen("ablations", ablation)
    if "variants" in chosen:
        return {knobs["name"]: protocol.changed({k: v for k, v in knobs.items() if k != "name"}) for knobs in chosen["variants"]}
    values = [str(block) for block in range(depth)] if chosen["values"] == "each" else chosen["values"]
    return {str(value): protocol.changed({chosen["over"]: value}) for value in values}


def swept(ablation: str | None) -> str | None:
    """The knob that an ablation goes through, if it is one that can be drawn as a curve."""
    return ablation_named(ablation).get("over")


def ablation_named(name: str | None) -> dict:
    return _chosen("ablations", name) if name else {}


def names_of(kind: str) -> list[str]:
    return list(tomllib.loads(FILE.read_text(encoding="utf-8"))[kind])


def _chosen(kind, name):
    presets = tomllib.loads(FILE.read_text(encoding="utf-8"))[kind]
    if name not in presets:
        raise ValueError(f"There is no {name} among the {kind}: {', '.join(presets)}.")
    return presets[name]
