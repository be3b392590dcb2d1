from comfy_api.latest import io, ui

from ..concept_core.storage.files import load_maps, save_maps
from .files import fingerprint, is_loadable, listed, new_file, path_of
from .sockets import CATEGORY, Maps


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
        with new_file(filename_prefix, "maps") as (path, shown):
            save_maps(maps, path)
        return io.NodeOutput(ui=ui.PreviewText(shown))


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
                    options=listed(),
                    tooltip="Files in the input folder and one folder below, and in the output folder where marked so.",
                )
            ],
            outputs=[Maps.Output("maps", tooltip="The maps as they were saved, bit for bit.")],
        )

    @classmethod
    def validate_inputs(cls, file):
        return is_loadable(file, load_maps)

    @classmethod
    def fingerprint_inputs(cls, file):
        return fingerprint(file)

    @classmethod
    def execute(cls, file):
        return io.NodeOutput(load_maps(path_of(file)))


NODES = [SaveMaps, LoadMaps]
