"""What a file of maps and one of a recording must hold."""

import reprlib
from collections.abc import Mapping
from math import prod
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from torch import Tensor

from ..recording.recipe import Recipe
from ..recording.scores import ATTENDS_TO, CROSS_SHARE, PROMPT_WORDS, SPACES
from .tensor_files import FLOATS, Stored

MAPS, RECORDING = "concept_attention.maps", "concept_attention.recording"
STORED_SPACES = (*SPACES, PROMPT_WORDS)
SCHEDULE = 1001  # points
TOLERANCE = 1e-3  # of shares; those of a large sampling were kept in 16 bit
VECTORS = ("concept_vectors", "image_vectors", "vector_sigmas")


class Unfit(ValueError):
    """It says in a few words what is wrong with a file."""


def short_of(size: tuple[int, ...]) -> tuple[int, ...]:
    """A picture's height and width alone, as earlier versions have written them; a clip's frames before them."""
    return size[1:] if size[0] == 1 else size


def _with_frames(size):
    """What short_of has made of it."""
    size = tuple(size) if isinstance(size, list) else size
    return (1, *size) if isinstance(size, tuple) and len(size) == 2 else size


def _distinct(values):
    if not values or len(set(values)) < len(values) or not all(map(str.strip, values)):
        raise Unfit("should be at least one, none empty and none twice")
    return values


Size = tuple[PositiveInt, PositiveInt]
ClipSize = Annotated[tuple[PositiveInt, PositiveInt, PositiveInt], BeforeValidator(_with_frames)]
Names = Annotated[tuple[str, ...], AfterValidator(_distinct)]
Spaces = Annotated[tuple[Literal[STORED_SPACES], ...], AfterValidator(_distinct)]  # type: ignore[valid-type]


class About(BaseModel):
    """What the metadata say under `key`. A later version may say more."""

    key: ClassVar[str]
    what: ClassVar[str]
    model_config = ConfigDict(strict=True)
    names: Names
    num_shown: PositiveInt = Field(alias="shown")
    image_size: Size
    pixels_per_token: PositiveInt
    frames_per_latent: NonNegativeInt = 0

    @classmethod
    def of(cls, text: str):
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise Unfit(_first_of(error)) from error

    @model_validator(mode="after")
    def check_shown(self):
        if self.num_shown > len(self.names):
            raise Unfit(f"shown is {self.num_shown}, of {len(self.names)} names")
        return self

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of tokens, the last of which may reach beyond the picture."""
        return tuple(-(-length // self.pixels_per_token) for length in self.image_size)


class AboutMaps(About):
    key = MAPS
    what = "concept maps: choose a file that Save Concept Maps has written."
    softmaxed: bool = Field(alias="shares")

    def check_shapes(self, tensors: Mapping[str, Stored]):
        rows, columns = self.token_grid
        known = {"concepts": len(self.names), "rows": rows, "columns": columns}
        _check_shapes(tensors, {"maps": "pictures, concepts, rows, columns"}, known)

    def check_numbers(self, maps: Tensor):
        _check_finite("maps", maps)
        if self.softmaxed:
            _check_shares("maps", maps)
        if self.softmaxed and len(self.names) > 1:
            _check_sums("maps", maps)


class AboutRecording(About):
    """token_weights, frames_per_latent and the last six are missing in files of earlier versions."""

    key = RECORDING
    what = "recording: choose a file that Save Concept Recording has written."
    encoder: str
    spaces: Spaces
    depth: PositiveInt
    default_blocks: tuple[NonNegativeInt, PositiveInt]
    size: ClipSize
    grid: ClipSize
    skip_reason: str = Field(alias="missed")
    normalises_concepts: bool = False
    attends_to: tuple[Literal[ATTENDS_TO], ...] = ATTENDS_TO  # type: ignore[valid-type]
    kept_blocks: tuple[NonNegativeInt, ...] = ()
    recipe: Recipe = Recipe()
    summed: bool = False
    single_blocks: NonNegativeInt = 0

    @model_validator(mode="after")
    def check_sizes(self):
        height, width = self.image_size
        frames, *sides = self.size
        pixel = height // sides[0]
        if (height, width) != tuple(pixel * length for length in sides) or self.pixels_per_token % pixel:
            raise Unfit(
                f"image_size {height} x {width} and pixels_per_token {self.pixels_per_token} do not fit a latent of {short_of(self.size)}"
            )
        if self.grid[1:] != self.token_grid or self.grid[0] > frames:
            raise Unfit(f"grid is {short_of(self.grid)}, where {short_of((frames, *self.token_grid))} covers the picture")
        if frames > 1 and not self.frames_per_latent:
            raise Unfit(f"frames_per_latent is 0, where the latent has {frames} frames")
        return self

    @model_validator(mode="after")
    def check_blocks(self):
        first, end = self.default_blocks
        if not first < end <= self.depth - self.single_blocks:
            raise Unfit(f"default_blocks {self.default_blocks} are not within {self.depth - self.single_blocks} blocks")
        if list(self.kept_blocks) != sorted({block for block in self.kept_blocks if block < self.depth}):
            raise Unfit(f"kept_blocks {self.kept_blocks} are not within {self.depth} blocks, in order")
        return self

    @model_validator(mode="after")
    def check_recipe(self):
        recipe = self.recipe
        if not (recipe.temperature >= 0 and 0 <= recipe.from_step < 1 and recipe.without_last >= 0):
            raise Unfit(f"recipe {recipe} is none")
        return self

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of their tensors."""
        spaces = self.spaces + ((CROSS_SHARE,) if "cross-attention" in self.spaces else ())
        return tuple(f"scores.{space}" for space in spaces)

    def check_shapes(self, tensors: Mapping[str, Stored]):
        unknown = [name for name in tensors if name.startswith("scores.") and name not in self.scores]
        if unknown:
            raise Unfit(f"{unknown[0]} is not of the spaces {self.spaces}")
        shapes = dict.fromkeys(self.scores, "steps, blocks, pictures, concepts, tokens")
        samples = tensors.get("samples")
        frames = "frames, " if self.size[0] > 1 or (samples is not None and len(samples.shape) == 5) else ""
        shapes |= {"sigmas": "steps", "schedule": "points", "samples": f"pictures, channels, {frames}latent rows, latent columns"}
        where_kept = {
            "token_share": "concepts, words",
            "concept_vectors": "calls, kept blocks, pictures, words, width",
            "image_vectors": "calls, kept blocks, pictures, tokens, width",
            "vector_sigmas": "calls",
        }
        shapes |= {name: shape for name, shape in where_kept.items() if name in tensors}
        known = {"blocks": self.depth, "concepts": len(self.names), "tokens": prod(self.grid), "points": SCHEDULE}
        known |= dict(zip(("frames", "latent rows", "latent columns"), self.size)) | {"kept blocks": len(self.kept_blocks)}
        _check_shapes(tensors, shapes, known)

    def check_numbers(self, tensors: Mapping[str, Tensor]):
        """Of all but scores and vectors."""
        for name, tensor in tensors.items():
            _check_finite(name, tensor)
        if not (tensors["sigmas"].diff() < 0).all():
            raise Unfit("sigmas do not fall from step to step")
        if not (tensors["schedule"].diff() <= 0).all():
            raise Unfit("schedule rises")
        if "token_share" in tensors:
            _check_shares("token_share", tensors["token_share"])
            _check_sums("token_share", tensors["token_share"])

    def check_scores(self, name: str, scores: Tensor):
        """NaN and infinity are what a model made whose numbers overflowed: who decodes them says so."""
        if name.endswith(CROSS_SHARE):
            _check_shares(name, scores)


def _check_shapes(tensors, shapes: dict[str, str], sizes: dict[str, int]):
    """That each tensor is there, holds floats, and has as many of everything as the others and the metadata."""
    for name, shape in shapes.items():
        if name not in tensors:
            raise Unfit(f"{name} is missing")
        stored, axes = tensors[name], shape.split(", ")
        if stored.dtype not in FLOATS:
            raise Unfit(f"{name} holds {stored.dtype}, no floats")
        if len(stored.shape) != len(axes) or not all(stored.shape):
            raise Unfit(f"{name} is {list(stored.shape)}, where [{shape}] belongs")
        for axis, size in zip(axes, stored.shape):
            if sizes.setdefault(axis, size) != size:
                raise Unfit(f"{name} has {size} {axis}, where {sizes[axis]} fits the rest")


def _check_finite(name, tensor):
    if not torch.isfinite(tensor).all():
        raise Unfit(f"{name} holds NaN or infinity")


def _check_shares(name, tensor):
    low, high = (float(bound) for bound in tensor.aminmax())
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise Unfit(f"{name} goes from {low:g} to {high:g}, and shares lie in 0..1")


def _check_sums(name, tensor):
    """Of dimension 1."""
    farthest = float((tensor.sum(1) - 1).abs().max())
    if farthest > TOLERANCE:
        raise Unfit(f"shares of {name} do not sum to 1, but differ by {farthest:.2g}")


def _first_of(error: ValidationError) -> str:
    """In words: the first thing that is wrong."""
    first = error.errors()[0]
    where = " ".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{where} is missing"
    what = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].removeprefix("Input ")
    return f"{where} {what[:1].lower() + what[1:]}, it is {reprlib.repr(first['input'])}" if where else what
