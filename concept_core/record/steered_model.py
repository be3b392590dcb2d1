"""Models that are steered by a recording of their own."""

from comfy.patcher_extension import WrappersMP

from ..recording.recording import Recording
from .sampler import KEY, Recorder


def recorder_of(model, recording: Recording, node: str) -> Recorder:
    """The recorder in a ComfyUI MODEL that fills a recording. ValueError, which names the node, where another model's fills it."""
    for wrapper in model.get_wrappers(WrappersMP.OUTER_SAMPLE, KEY):
        recorder = wrapper.__self__
        if recorder.recording is recording:
            return recorder
    raise ValueError(
        f"The recording is of an Apply node whose model is not the one that {node} gets: connect the model that came out of that "
        "Apply node, directly or through other nodes."
    )
