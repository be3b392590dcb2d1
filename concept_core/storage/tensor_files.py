"""Reads .safetensors into memory of its own: nothing stays mapped, so a file may be overwritten or cut while its numbers are in use."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import torch
from pydantic import BaseModel, NonNegativeInt, TypeAdapter, ValidationError
from torch import Tensor

FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
MAX_HEADER = 100_000_000  # bytes, as safetensors itself has it
CHUNK = 1 << 20


class Stored(BaseModel):
    """A tensor, as the header tells of it."""

    dtype: str
    shape: tuple[NonNegativeInt, ...]
    data_offsets: tuple[NonNegativeInt, NonNegativeInt]

    @property
    def numbers(self) -> int:
        return prod(self.shape)


HEADER = TypeAdapter(dict[str, Stored | dict[str, str]])


class TensorFile:
    """An open file. metadata: as it is in the header. tensors: name → Stored, read only when asked for."""

    def __init__(self, path: Path, file):
        self.path, self.file = path, file
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise self.unreadable("its header is cut short")
        self.header, self.start = file.read(length), 8 + length
        try:
            self.tensors = HEADER.validate_json(self.header)
        except ValidationError as error:
            raise self.unreadable("its header is none") from error
        self.metadata = self.tensors.pop("__metadata__", {})
        if isinstance(self.metadata, Stored) or not all(isinstance(stored, Stored) for stored in self.tensors.values()):
            raise self.unreadable("its header is none")
        self._check_layout(size - self.start)

    def _check_layout(self, length):
        """That the tensors fill the file one after the other."""
        end = 0
        for first, last in sorted(stored.data_offsets for stored in self.tensors.values()):
            if first != end or last < first:
                raise self.unreadable("its tensors overlap, or there are gaps between them")
            end = last
        if end != length:
            raise self.unreadable(f"{end} bytes of numbers belong in it, and there are {length}")
        for name, stored in self.tensors.items():
            first, last = stored.data_offsets
            if stored.dtype in FLOATS and last - first != stored.numbers * FLOATS[stored.dtype].itemsize:
                raise self.unreadable(f"{name} has {last - first} bytes, which is not {stored.dtype} {list(stored.shape)}")

    def read(self, name: str, row: int | None = None) -> Tensor:
        """A tensor of floats, or one row of its first dimension."""
        stored = self.tensors[name]
        tensor = torch.empty(stored.shape if row is None else stored.shape[1:], dtype=FLOATS[stored.dtype])
        self.file.seek(self.start + stored.data_offsets[0] + (row or 0) * tensor.nbytes)
        if self.file.readinto(tensor.view(-1).view(torch.uint8).numpy()) != tensor.nbytes:
            raise self.unreadable("it is cut short")
        return tensor

    def digest(self, but: tuple[str, ...]) -> str:
        """It follows from the header and from all numbers but those of the tensors named."""
        digest = hashlib.sha256(self.header)
        for name, stored in self.tensors.items():
            if name not in but:
                position, end = (self.start + offset for offset in stored.data_offsets)
                self.file.seek(position)
                while piece := self.file.read(min(CHUNK, end - position)):
                    digest.update(piece)
                    position += len(piece)
        return digest.hexdigest()

    def unreadable(self, why):
        return ValueError(f"{self.path.name} cannot be read as .safetensors ({why}). Save it again, or copy the whole file.")


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """A file to read from. ValueError if it is no .safetensors, is cut short or changes meanwhile."""
    try:
        with open(path, "rb") as file:
            before = _state(file)
            try:
                yield TensorFile(path, file)
            finally:
                if _state(file) != before:
                    raise ValueError(f"{path.name} was changed while it was read: queue again.")
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read ({error}). Save it again, or copy the whole file.") from error


def _state(file):
    state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns
