from comfy_api.latest import ComfyExtension

from . import (
    apply,
    best,
    concepts_from_prompt,
    decode,
    demo_model,
    encode_concepts,
    encode_image,
    explorer,
    guidance,
    heatmap,
    instances,
    locate,
    lock,
    maps_files,
    mask,
    recording_files,
    region,
    repaint,
)

NODES = [
    *encode_concepts.NODES,
    *concepts_from_prompt.NODES,
    *apply.NODES,
    *encode_image.NODES,
    *decode.NODES,
    *heatmap.NODES,
    *mask.NODES,
    *explorer.NODES,
    *locate.NODES,
    *instances.NODES,
    *best.NODES,
    *repaint.NODES,
    *maps_files.NODES,
    *recording_files.NODES,
    *region.NODES,
    *lock.NODES,
    *guidance.NODES,
    *demo_model.NODES,
]


class ConceptAttention(ComfyExtension):
    async def get_node_list(self):
        return NODES
