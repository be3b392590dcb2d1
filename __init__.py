"""ConceptAttention for ComfyUI: heatmaps and masks for named concepts, out of the pass that makes the picture."""

from comfy_api.latest import ComfyExtension

from .nodes import NODES

WEB_DIRECTORY = "./web"


class ConceptAttention(ComfyExtension):
    async def get_node_list(self):
        return NODES


async def comfy_entrypoint():
    return ConceptAttention()
