"""The pictures in README and beside the example workflows, from what the demo workflows saved."""

from PIL import Image, ImageDraw, ImageFont

TILE = 256


def draw_previews(output, workflows, docs):
    docs.mkdir(exist_ok=True)
    flux, sd3 = draw_sheet(output / "concept_attention"), draw_sheet(output / "concept_attention_sd3")
    flux.save(docs / "demo.jpg", quality=90)
    flux.save(workflows / "concept_heatmaps_demo.jpg", quality=90)
    note(flux, "Drawn with the demo model, not with Flux dev").save(workflows / "concept_heatmaps_flux_dev.jpg", quality=90)
    sd3.save(workflows / "concept_heatmaps_sd3_demo.jpg", quality=90)
    note(sd3, "Drawn with the demo model, not with SD3.5").save(workflows / "concept_heatmaps_sd35_large.jpg", quality=90)


def draw_sheet(saved):
    """The picture, and beside it its heatmaps above its overlays."""
    picture = Image.open(saved / "picture_00001_.png")
    rows = [[Image.open(file) for file in sorted(saved.glob(f"{kind}_*.png"))] for kind in ("heatmap", "overlay")]
    sheet = Image.new("RGB", (2 * TILE + len(rows[0]) * TILE, 2 * TILE), "white")
    sheet.paste(picture.resize((2 * TILE, 2 * TILE), Image.Resampling.LANCZOS))
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            sheet.paste(tile.resize((TILE, TILE)), (2 * TILE + x * TILE, y * TILE))
    return sheet


def note(sheet, text):
    noted = sheet.copy()
    font = ImageFont.load_default(20)
    right, bottom = font.getbbox(text)[2:]
    draw = ImageDraw.Draw(noted)
    draw.rectangle((0, noted.height - bottom - 16, right + 20, noted.height), fill="black")
    draw.text((10, noted.height - bottom - 10), text, fill="white", font=font)
    return noted
