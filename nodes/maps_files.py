import os
from pathlib import Path

import folder_paths
from comfy_api.latest import io, ui

from ..concept_core.storage import load_maps, save_maps
from .sockets import CATEGORY, Maps

OUTPUT = " [output]"


class SaveMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionSaveMaps",
            display_name="Save Concept Maps",
            category=CATEGORY,
            description="Saves the maps' numbers as .safetensors in the output folder.",
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode Concept Maps."),
                io.String.Input(
                    "filename_prefix",
                    default="concept_maps/maps",
                    tooltip="Folder and beginning of the file's name, within the output folder. Load Concept Maps lists one folder deep.",
                ),
            ],
        )

    @classmethod
    def execute(cls, maps, filename_prefix):
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, folder_paths.get_output_directory())
        file = f"{name}_{counter:05}_.safetensors"
        save_maps(maps, Path(folder, file))
        return io.NodeOutput(ui=ui.PreviewText(os.path.join(subfolder, file)))


class LoadMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionLoadMaps",
            display_name="Load Concept Maps",
            category=CATEGORY,
            description="Loads maps that Save Concept Maps has written, from the input or the output folder.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=maps_files(),
                    tooltip="Files in the input folder and one folder below, and in the output folder where marked so.",
                )
            ],
            outputs=[Maps.Output("maps", tooltip="The maps as they were saved, bit for bit.")],
        )

    @classmethod
    def validate_inputs(cls, file):
        try:
            load_maps(maps_path(file))
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, file):
        state = maps_path(file).stat()
        return f"{state.st_mtime_ns} {state.st_size}"

    @classmethod
    def execute(cls, file):
        return io.NodeOutput(load_maps(maps_path(file)))


def maps_files() -> list[str]:
    """Names in the input and output folders and one folder below: this is asked often, and output folders grow large."""
    folders = {"": Path(folder_paths.get_input_directory()), OUTPUT: Path(folder_paths.get_output_directory())}
    patterns = ("*.safetensors", "*/*.safetensors")
    files = [(path, folder, mark) for mark, folder in folders.items() for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [path.relative_to(folder).as_posix() + mark for path, folder, mark in files]


def maps_path(file: str) -> Path:
    """The file that a name in the list stands for; ValueError if it is missing or not within its folder."""
    in_output = file.endswith(OUTPUT)
    folder = Path(folder_paths.get_output_directory() if in_output else folder_paths.get_input_directory()).resolve()
    path = (folder / file.removesuffix(OUTPUT)).resolve()
    if not path.is_relative_to(folder):
        raise ValueError(f"{file} lies outside the {folder.name} folder: copy it into that folder and choose it from the list.")
    if not path.is_file():
        raise ValueError(f"There is no {file}: choose a file from the list, or press R to refresh it.")
    return path


NODES = [SaveMaps, LoadMaps]
