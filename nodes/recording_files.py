from comfy_api.latest import io, ui

from ..concept_core.storage.files import check_recording, load_recording, save_recording
from .files import fingerprint, is_loadable, listed, new_file, path_of
from .sockets import CATEGORY, Recording


class SaveRecording(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionSaveRecording",
            display_name="Save Concept Recording",
            category=CATEGORY,
            description="Saves one sampling's scores of every step and block, and vectors where kept, as .safetensors, for research.",
            is_output_node=True,
            inputs=[
                Recording.Input("recording", tooltip="From Apply Concept Attention or Encode Image for Concepts."),
                io.Latent.Input(
                    "samples", tooltip="The latent that came out of the sampler, or the encoded one. It tells which recording to save."
                ),
                io.String.Input(
                    "filename_prefix",
                    default="concept_recordings/recording",
                    tooltip="Folder and beginning of the file's name, within the output folder. The load node lists one folder deep.",
                ),
            ],
        )

    @classmethod
    def execute(cls, recording, samples, filename_prefix):
        with new_file(filename_prefix, "recording") as (path, shown):
            save_recording(recording, samples["samples"], path)
        return io.NodeOutput(ui=ui.PreviewText(shown))


class LoadRecording(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionLoadRecording",
            display_name="Load Concept Recording",
            category=CATEGORY,
            description="Loads what Save Concept Recording has written, to decode it again: other blocks, steps, spaces.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=listed(),
                    tooltip="Files in the input folder and one folder below, and in the output folder where marked so.",
                )
            ],
            outputs=[
                Recording.Output("recording", tooltip="For Decode Concept Maps, with the samples beside it."),
                io.Latent.Output("samples", tooltip="The latent that belongs to it."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file):
        return is_loadable(file, check_recording)

    @classmethod
    def fingerprint_inputs(cls, file):
        return fingerprint(file)

    @classmethod
    def execute(cls, file):
        recording, samples = load_recording(path_of(file))
        return io.NodeOutput(recording, {"samples": samples})


NODES = [SaveRecording, LoadRecording]
