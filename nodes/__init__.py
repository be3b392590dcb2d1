from . import apply, decode, demo_model, encode_concepts, heatmap, maps_files

NODES = [
    *encode_concepts.NODES,
    *apply.NODES,
    *decode.NODES,
    *heatmap.NODES,
    *maps_files.NODES,
    *demo_model.NODES,
]
