"""Protocols and ablations, as presets.toml names them."""

import json
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import tomllib

FILE = Path(__file__).with_name("presets.toml")
PARTS = 6
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
    schedule: int = (
        0  # above 0: not at `noise`, but in the middle of each of so many equal parts of the schedule, as the steps of a sampling
    )
    samples: int = 1
    seed: int = 0
    as_authors: bool = False
    attends_to: tuple[str, ...] = ("concepts", "image")
    single_blocks: bool = False
    space: str = "output"
    blocks: str = "auto"
    start_percent: float = 0.0  # of the schedule, where it is shown there; what is noisier is left out
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
        decoded = ("space", "blocks", "start_percent", "softmax", "temperature", "blur", "upsample", "cut", "labels", "authors")
        return tuple(getattr(self, field.name) for field in fields(self) if field.name not in decoded)

    def decoding(self) -> dict[str, Any]:
        """Decode's inputs beside recording, samples and space."""
        return {name: getattr(self, name) for name in ("blocks", "start_percent", "softmax", "temperature")}

    def noises(self) -> list[float]:
        """The levels of noise that a picture is shown at, highest first."""
        return [1 - (step + 0.5) / self.schedule for step in range(self.schedule)] or [self.noise]

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


def searched(protocol: Protocol, depth: int) -> dict[str, Protocol]:
    """What --search tries: first the protocol's own blocks and temperature with all steps, then every combination."""
    grid = grid_of_search()
    base = protocol.changed({"schedule": grid["schedule"], "softmax": True})
    choices = product(block_choices(depth), grid["start_percent"], grid["temperature"])
    combined = (base.changed({"blocks": blocks, "start_percent": start, "temperature": unit}) for blocks, start, unit in choices)
    return {settings_of(variant): variant for variant in (base, *combined)}


def grid_of_search() -> dict:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))["search"]


def block_choices(depth: int) -> list[str]:
    """auto, each of up to PARTS parts of the blocks alone, and from each to the last one."""
    edges = sorted({round(part * depth / PARTS) for part in range(PARTS + 1)})
    parts = [f"{first}-{end - 1}" for first, end in zip(edges, edges[1:])]
    late = [f"{first}-{depth - 1}" for first in edges[:-2]]
    return ["auto", *dict.fromkeys(parts + late)]


def settings_of(protocol: Protocol) -> str:
    """As JSON, what --search chooses."""
    return json.dumps({knob: getattr(protocol, knob) for knob in ("blocks", "start_percent", "temperature")})


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
