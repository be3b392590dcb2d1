"""ConceptAttention for ComfyUI: heatmaps and masks for named concepts, out of the pass that makes the picture."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """ComfyUI reads its options with the first import of it, and check/ has some to tell before: so that import is here."""
    from .nodes import ConceptAttention

    return ConceptAttention()
