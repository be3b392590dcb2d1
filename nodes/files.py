"""The .safetensors files that this pack writes and reads, as a list in a widget and as paths."""

import os
from pathlib import Path

import folder_paths

OUTPUT = " [output]"


def new_file(prefix: str) -> tuple[Path, str]:
    """(path, name to show) of a file yet to be written in the output folder."""
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    file = f"{name}_{counter:05}_.safetensors"
    return Path(folder, file), os.path.join(subfolder, file)


def listed() -> list[str]:
    """Names in the input and output folders and one folder below: this is asked often, and output folders grow large."""
    folders = {"": Path(folder_paths.get_input_directory()), OUTPUT: Path(folder_paths.get_output_directory())}
    patterns = ("*.safetensors", "*/*.safetensors")
    files = [(path, folder, mark) for mark, folder in folders.items() for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [path.relative_to(folder).as_posix() + mark for path, folder, mark in files]


def path_of(file: str) -> Path:
    """The file that a name in the list stands for; ValueError if it is missing or not within its folder."""
    in_output = file.endswith(OUTPUT)
    folder = Path(folder_paths.get_output_directory() if in_output else folder_paths.get_input_directory()).resolve()
    path = (folder / file.removesuffix(OUTPUT)).resolve()
    if not path.is_relative_to(folder):
        raise ValueError(f"{file} lies outside the {folder.name} folder: copy it into that folder and choose it from the list.")
    if not path.is_file():
        raise ValueError(f"There is no {file}: choose a file from the list, or press R to refresh it.")
    return path


def is_loadable(file: str, load) -> bool | str:
    """For a node's validate_inputs: True, or what is wrong with the file."""
    try:
        load(path_of(file))
    except ValueError as error:
        return str(error)
    return True


def fingerprint(file: str) -> str:
    state = path_of(file).stat()
    return f"{state.st_mtime_ns} {state.st_size}"
