"""The .safetensors files that this pack writes and reads, as a list in a widget and as paths."""

import itertools
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import folder_paths

from ..concept_core.storage.files import digest_of

OUTPUT = " [output]"
HASHED_ALWAYS = 64 << 20  # bytes of a file
SETTLED = 2 * 10**9  # nanoseconds after which another change is sure to have another time


@contextmanager
def new_file(prefix: str, kind: str) -> Iterator[tuple[Path, str]]:
    """(path to write, name to show) of a file in the output folder, which is there once it is whole. It takes no other's place.

    kind: its name where the prefix names a folder alone.
    """
    path, shown = _reserved(prefix.strip(), kind)
    try:
        with whole_or_none(path) as part:
            yield part, shown
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def whole_or_none(path: Path) -> Iterator[Path]:
    """A path beside it to write: what is there in the end takes its place, unless there was an error."""
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _reserved(prefix, kind):
    """(path, name to show) of a new, empty file, so that nobody else takes its name: another ComfyUI may save there too."""
    if os.path.basename(prefix) in ("", os.curdir, os.pardir):
        prefix = os.path.join(prefix, kind)
    output = os.path.abspath(folder_paths.get_output_directory())
    if not Path(os.path.abspath(os.path.join(output, prefix))).is_relative_to(output):
        raise ValueError(f"filename_prefix: {prefix} lies outside the output folder. Name a place within it.")
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, output)
        for number in itertools.count(counter):
            file = f"{name}_{number:05}_.safetensors"
            try:
                Path(folder, file).touch(exist_ok=False)
            except FileExistsError:
                continue
            return Path(folder, file), os.path.join(subfolder, file)
    except (OSError, ValueError) as error:
        raise ValueError(f"filename_prefix: no file can be made at {prefix!r} ({error}). Choose another one.") from error


def listed() -> list[str]:
    """Names in the input and output folders and one folder below: this is asked often, and output folders grow large."""
    folders = {"": Path(folder_paths.get_input_directory()), OUTPUT: Path(folder_paths.get_output_directory())}
    patterns = ("*.safetensors", "*/*.safetensors")
    files = [(path, folder, mark) for mark, folder in folders.items() for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [path.relative_to(folder).as_posix() + mark for path, folder, mark in files if path.is_file()]


def path_of(file: str) -> Path:
    """The file that a name in the list stands for; ValueError if it is missing or not within its folder.

    A link that lies in the folder is within it, wherever it leads: who can put one there can put files there.
    """
    if not isinstance(file, str):
        raise ValueError(f"file: the name of a file is needed, and {file!r} is connected.")
    folder = os.path.abspath(folder_paths.get_output_directory() if file.endswith(OUTPUT) else folder_paths.get_input_directory())
    path = Path(os.path.abspath(os.path.join(folder, file.removesuffix(OUTPUT))))
    if not path.is_relative_to(folder):
        raise ValueError(
            f"{file} lies outside the {os.path.basename(folder)} folder: copy it into that folder and choose it from the list."
        )
    if not path.is_file():
        raise ValueError(f"There is no {file}: choose a file from the list, or press R to refresh it.")
    return path


def is_loadable(file: str | None, load) -> bool | str:
    """For a node's validate_inputs: True, or what is wrong with the file. One that is connected is known only when the node runs."""
    if file is None:
        return True
    try:
        load(path_of(file))
    except ValueError as error:
        return str(error)
    return True


def fingerprint(file: str | None) -> str | float:
    """It follows from what is in the file, since times may be coarse, or put back by who copied it.

    Large files are read again only if their state on disk has changed. A file that is connected may be another one each time.
    """
    if file is None:
        return float("nan")
    path = path_of(file)
    state = path.stat()
    if state.st_size <= HASHED_ALWAYS or time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < SETTLED:
        return digest_of(path)
    return _digest_in(path, (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


@lru_cache
def _digest_in(path, state):
    return digest_of(path)
