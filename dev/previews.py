"""The pictures in README and beside the example workflows, from what the demo workflow saved."""

from PIL import Image, ImageDraw, ImageFont

TILE = 256


def draw_previews(saved, workflows, docs):
    picture = Image.open(saved / "picture_00001_.png")
    rows = [[Image.open(file) for file in sorted(saved.glob(f"{kind}_*.png"))] for kind in ("heatmap", "overlay")]
    sheet = Image.new("RGB", (2 * TILE + len(rows[0]) * TILE, 2 * TILE), "white")
    sheet.paste(picture.resize((2 * TILE, 2 * TILE), Image.Resampling.LANCZOS))
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            sheet.paste(tile.resize((TILE, TILE)), (2 * TILE + x * TILE, y * TILE))
    docs.mkdir(exist_ok=True)
    for path in (docs / "demo.jpg", workflows / "concept_heatmaps_demo.jpg"):
        sheet.save(path, quality=90)
    note(sheet, "Drawn with the demo model, not with Flux dev").save(workflows / "concept_heatmaps_flux_dev.jpg", quality=90)


def note(sheet, text):
    noted = sheet.copy()
    font = ImageFont.load_default(20)
    right, bottom = font.getbbox(text)[2:]
    draw = ImageDraw.Draw(noted)
    draw.rectangle((0, noted.height - bottom - 16, right + 20, noted.height), fill="black")
    draw.text((10, noted.height - bottom - 10), text, fill="white", font=font)
    return noted
