"""The pictures in README and beside the example workflows, from what the demo workflows saved.

Those of the Explorer are taken in the interface: tests/interface/test_help.py.
"""

from PIL import Image, ImageDraw, ImageFont, ImageSequence

TILE, GAP, GROUND = 256, 4, (23, 23, 26)
CARD = 4  # tiles: templates are shown on square cards
ROWS = {  # workflow: folder of what it saved, and its files from left to right
    "03 Heatmaps (demo)": ("concept_attention", ["overlay"]),
    "04 Heatmaps with SD3 (demo)": ("concept_attention_sd3", ["overlay"]),
    "05 All concepts at once (demo)": ("concept_segmentation", ["picture", "segmentation", "mask"]),
    "06 Masks for a photo (demo)": ("concept_encode_image", ["picture", "overlay", "mask"]),
    "07 Repaint one thing (demo)": ("concept_repaint", ["first", "mask", "second"]),
    "08 Repaint softly (demo)": ("concept_repaint_soft", ["first", "mask", "second"]),
    "09 Repaint with inpainting nodes (demo)": ("concept_repaint_encode", ["first", "mask", "second", "third"]),
    "10 Cut out and composite (demo)": ("concept_cut_out", ["first", "mask", "other", "composite"]),
    "11 A prompt for each region (demo)": ("concept_regional", ["first", "mask_1", "mask_2", "second"]),
    "25 Repaint one of several (demo)": ("concept_instances", ["first", "mask", "second"]),
    "37 Pick the best of a batch (demo)": ("concept_best", ["best", "all"]),
    "38 Repaint several things in one go (demo)": ("concept_several", ["first", "second"]),
    "23 A region while sampling (demo)": ("concept_live", ["without", "with"]),
    "24 Edit one thing and lock the rest (demo)": ("concept_lock", ["source", "repainted"]),
    "29 A LoRA on one thing only (demo)": ("concept_lora", ["without", "with"]),
    "30 More prompt on one thing (demo)": ("concept_guidance", ["without", "with"]),
    "27 Masks for a clip (demo)": ("concept_video", ["clip", "mask"]),
    "28 Repaint a moving thing (demo)": ("concept_video_repaint", ["first", "second"]),
}
STAND_INS = {  # workflow for a model that is not at hand: demo workflow whose picture stands in, and the model
    "12 Heatmaps with Flux dev": ("03 Heatmaps (demo)", "Flux dev"),
    "13 Heatmaps with Flux.2 Klein": ("03 Heatmaps (demo)", "Flux.2 Klein"),
    "14 Heatmaps with Z-Image Turbo": ("03 Heatmaps (demo)", "Z-Image"),
    "15 Heatmaps with Qwen-Image": ("04 Heatmaps with SD3 (demo)", "Qwen-Image"),
    "16 Heatmaps with Krea 2 Turbo": ("04 Heatmaps with SD3 (demo)", "Krea 2"),
    "17 Heatmaps with SD3.5 large": ("04 Heatmaps with SD3 (demo)", "SD3.5"),
    "18 Masks for a photo with Flux": ("06 Masks for a photo (demo)", "Flux"),
    "19 Repaint one thing with Flux dev": ("08 Repaint softly (demo)", "Flux dev"),
    "20 Repaint one thing with Flux Fill": ("09 Repaint with inpainting nodes (demo)", "Flux Fill"),
    "26 Repaint one thing with SDXL": ("08 Repaint softly (demo)", "SDXL"),
    "21 Heatmaps and prompt words with SDXL": ("03 Heatmaps (demo)", "SDXL"),
    "22 Heatmaps with Anima": ("04 Heatmaps with SD3 (demo)", "Anima"),
    "31 Edit one thing and lock the rest with Flux Kontext": ("24 Edit one thing and lock the rest (demo)", "Flux Kontext"),
    "32 A region while sampling with Z-Image Turbo": ("23 A region while sampling (demo)", "Z-Image"),
    "33 Masks for a clip with Wan 2.2 5B": ("27 Masks for a clip (demo)", "Wan 2.2 5B"),
    "34 Masks for a clip with HunyuanVideo 1.5": ("27 Masks for a clip (demo)", "HunyuanVideo 1.5"),
    "35 Repaint a moving thing with Wan 2.1 VACE": ("28 Repaint a moving thing (demo)", "Wan VACE"),
}


def draw_previews(output, workflows, docs):
    rows = {name: [tile for kind in kinds for tile in tiles(output / folder, kind)] for name, (folder, kinds) in ROWS.items()}
    sheets = {name: squared(grid(row[:CARD], 2)) for name, row in rows.items()}
    sheets["02 Explore concepts as an app (demo)"] = tiles(output / "concept_segmentation", "segmentation")[0]
    for name, (demo, model) in STAND_INS.items():
        sheets[name] = note(sheets[demo], f"Drawn with the demo model, not with {model}")
    for name, sheet in sheets.items():
        sheet.save(workflows / f"{name}.jpg", quality=90)
    docs.mkdir(exist_ok=True)
    draw_sheet(output / "concept_attention", ["heatmap", "overlay"]).save(docs / "demo.jpg", quality=90)
    row = rows["07 Repaint one thing (demo)"]
    grid(row, len(row)).save(docs / "repaint.jpg", quality=90)
    draw_clip(output / "concept_video", ["clip", "overlay", "mask"], docs / "clip.webp")


def draw_clip(saved, kinds, file):
    """The kinds beside one another, as one clip."""
    frames = [grid(row, len(row)) for row in zip(*(clip_tiles(saved, kind) for kind in kinds))]
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=125, loop=0, quality=80, method=6)


def draw_sheet(saved, kinds):
    """The picture, and beside it two rows of what shows its concepts."""
    picture = Image.open(saved / "picture_00001_.png").convert("RGB").resize((2 * TILE + GAP, 2 * TILE + GAP), Image.Resampling.LANCZOS)
    beside = [tile for kind in kinds for tile in tiles(saved, kind)]
    beside = grid(beside, -(-len(beside) // 2))
    sheet = Image.new("RGB", (picture.width + GAP + beside.width, picture.height), GROUND)
    sheet.paste(picture)
    sheet.paste(beside, (picture.width + GAP, 0))
    return sheet


def grid(pictures, columns):
    size = [count * (TILE + GAP) - GAP for count in (columns, -(-len(pictures) // columns))]
    sheet = Image.new("RGB", size, GROUND)
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (place % columns * (TILE + GAP), place // columns * (TILE + GAP)))
    return sheet


def squared(picture):
    side = max(picture.size)
    sheet = Image.new("RGB", (side, side), GROUND)
    sheet.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return sheet


def tiles(saved, kind):
    """Pictures, or a clip's first and last."""
    clip = clip_tiles(saved, kind)
    return [clip[0], clip[-1]] if clip else picture_tiles(saved, kind)


def clip_tiles(saved, kind):
    files = sorted(saved.glob(f"{kind}_0*.webp"))
    return [frame.convert("RGB").resize((TILE, TILE)) for file in files for frame in ImageSequence.Iterator(Image.open(file))]


def picture_tiles(saved, kind):
    return [Image.open(file).convert("RGB").resize((TILE, TILE)) for file in sorted(saved.glob(f"{kind}_0*.png"))]


def note(sheet, text):
    noted = sheet.copy()
    font = ImageFont.load_default(20)
    right, bottom = font.getbbox(text)[2:]
    draw = ImageDraw.Draw(noted)
    draw.rectangle((0, noted.height - bottom - 16, right + 20, noted.height), fill="black")
    draw.text((10, noted.height - bottom - 10), text, fill="white", font=font)
    return noted
