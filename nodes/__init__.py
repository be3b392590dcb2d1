from . import apply, decode, demo_model, encode_concepts, encode_image, explorer, heatmap, locate, maps_files, mask, recording_files, region

NODES = [
    *encode_concepts.NODES,
    *apply.NODES,
    *encode_image.NODES,
    *decode.NODES,
    *heatmap.NODES,
    *mask.NODES,
    *explorer.NODES,
    *locate.NODES,
    *maps_files.NODES,
    *recording_files.NODES,
    *region.NODES,
    *demo_model.NODES,
]
