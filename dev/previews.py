"""The pictures in README and beside the example workflows, from what the demo workflows saved."""

from PIL import Image, ImageDraw, ImageFont

TILE, GAP, GROUND = 256, 4, (23, 23, 26)
ROWS = {  # workflow: folder of what it saved, and its files from left to right
    "concept_repaint_demo": ("concept_repaint", ["first", "mask", "second"]),
    "concept_repaint_soft_demo": ("concept_repaint_soft", ["first", "mask", "second"]),
    "concept_repaint_encode_demo": ("concept_repaint_encode", ["first", "mask", "second", "third"]),
    "concept_cut_out_demo": ("concept_cut_out", ["first", "mask", "other", "composite"]),
    "concept_regional_demo": ("concept_regional", ["first", "mask_1", "mask_2", "second"]),
    "concept_encode_image_demo": ("concept_encode_image", ["picture", "overlay", "mask"]),
    "concept_segmentation_demo": ("concept_segmentation", ["picture", "segmentation", "mask"]),
}
STAND_INS = {  # workflow for a model that is not at hand: demo workflow whose picture stands in, and the model
    "concept_heatmaps_flux_dev": ("concept_heatmaps_demo", "Flux dev"),
    "concept_heatmaps_sd35_large": ("concept_heatmaps_sd3_demo", "SD3.5"),
    "concept_heatmaps_flux2_klein": ("concept_heatmaps_demo", "Flux.2 Klein"),
    "concept_heatmaps_qwen_image": ("concept_heatmaps_sd3_demo", "Qwen-Image"),
    "concept_heatmaps_z_image_turbo": ("concept_heatmaps_demo", "Z-Image"),
    "concept_heatmaps_krea2_turbo": ("concept_heatmaps_sd3_demo", "Krea 2"),
    "concept_encode_image_flux": ("concept_encode_image_demo", "Flux"),
    "concept_repaint_flux_dev": ("concept_repaint_soft_demo", "Flux dev"),
    "concept_repaint_flux_fill": ("concept_repaint_encode_demo", "Flux Fill"),
}


def draw_previews(output, workflows, docs):
    rows = {name: [tile for kind in kinds for tile in tiles(output / folder, kind)] for name, (folder, kinds) in ROWS.items()}
    sheets = {name: grid(row, -(-len(row) // 2)) for name, row in rows.items()}  # templates are shown on square cards
    sheets["concept_heatmaps_demo"] = draw_sheet(output / "concept_attention", ["overlay"])
    sheets["concept_heatmaps_sd3_demo"] = draw_sheet(output / "concept_attention_sd3", ["overlay"])
    for name, (demo, model) in STAND_INS.items():
        sheets[name] = note(sheets[demo], f"Drawn with the demo model, not with {model}")
    for name, sheet in sheets.items():
        sheet.save(workflows / f"{name}.jpg", quality=90)
    docs.mkdir(exist_ok=True)
    draw_sheet(output / "concept_attention", ["heatmap", "overlay"]).save(docs / "demo.jpg", quality=90)
    row = rows["concept_repaint_demo"]
    grid(row, len(row)).save(docs / "repaint.jpg", quality=90)


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


def tiles(saved, kind):
    return [Image.open(file).convert("RGB").resize((TILE, TILE)) for file in sorted(saved.glob(f"{kind}_0*.png"))]


def note(sheet, text):
    noted = sheet.copy()
    font = ImageFont.load_default(20)
    right, bottom = font.getbbox(text)[2:]
    draw = ImageDraw.Draw(noted)
    draw.rectangle((0, noted.height - bottom - 16, right + 20, noted.height), fill="black")
    draw.text((10, noted.height - bottom - 10), text, fill="white", font=font)
    return noted
