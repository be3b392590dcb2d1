"""Workflows in API format, and what a queue of them left."""

from pathlib import Path

import numpy as np
from concept_attention.concept_core.storage.files import load_maps
from PIL import Image


def nodes(prompt, class_type):
    return [node for node, content in prompt.items() if content["class_type"] == class_type]


def only(prompt, class_type):
    (node,) = nodes(prompt, class_type)
    return node


def up_to(prompt, node):
    """The part of a prompt that a node needs, itself included."""
    needed = {node: prompt[node]}
    for value in prompt[node]["inputs"].values():
        if isinstance(value, list):
            needed |= up_to(prompt, value[0])
    return needed


def saved(live, result, prompt, node):
    """Pictures [H, W, 3] in 0..255 that a SaveImage node wrote."""
    files = [Path(live.output, image["subfolder"], image["filename"]) for image in result.outputs[node]["images"]]
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]


def saved_maps(live, result, prompt):
    return load_maps(live.output / result.outputs[only(prompt, "ConceptAttentionSaveMaps")]["text"][0])


def pictures(live, result, prompt):
    """All that was saved: the last part of the file name's prefix → pictures [N, H, W, 3] in 0..1."""
    return {
        prompt[node]["inputs"]["filename_prefix"].split("/")[-1]: np.stack(saved(live, result, prompt, node)) / 255
        for node in nodes(prompt, "SaveImage")
    }
