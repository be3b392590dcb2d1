"""The report as one page of HTML that holds its pictures and loads nothing."""

from html import escape

from .card import Card, Sampled
from .pictures import painted, rows
from .scores import mean_by_block

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1180px; margin: 24px auto; padding: 0 16px; color: #1c1c22; background: #fff; }
h1 { font-size: 24px; } h2 { font-size: 19px; margin-top: 40px; border-top: 1px solid #ccd; padding-top: 18px; } h3 { font-size: 16px; }
table { border-collapse: collapse; margin: 10px 0; }
td, th { padding: 4px 10px; border: 1px solid #dde; text-align: left; vertical-align: top; }
th { background: #f3f3f8; font-weight: 600; } .good { color: #0a6b2f; } .bad { color: #b00020; font-weight: 600; }
.maps td { padding: 2px; border: 0; } .maps th { border: 0; background: none; font-weight: normal; text-align: right; }
img { display: block; } .row { display: flex; gap: 6px; flex-wrap: wrap; }
svg { background: #fafafd; } .small { color: #667; font-size: 13px; }
"""
CHART = (560, 130)  # pixels
ENDS: list[tuple[float, float, object]] = [(12, 13, "all"), (12, 113, "none")]
COLOURS = {"alone": "#b0482e", "grey": "#8a8a96", "agrees": "#2e63b0"}


def page(about: dict, cards: list[Card | None]) -> str:
    parts = [f"<h1>Concept Attention: report card</h1>{table(about['machine'])}", overview(about["models"])]
    parts += [section(entry, card) for entry, card in zip(about["models"], cards)]
    head = f"<meta charset='utf-8'><title>Concept Attention: report card</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def table(pairs: dict[str, str]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in pairs.items()) + "</table>"


def overview(models: list[dict]) -> str:
    heads = ["model", "family", "the picture", "time of a step", "peak memory", "kept"]
    lines = "".join(f"<tr><td>{escape(entry['model'])}</td>{overview_of(entry)}</tr>" for entry in models)
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{lines}</table>"


def overview_of(entry: dict) -> str:
    family = f"<td>{escape(entry.get('family', ''))}</td>"
    why = entry.get("not_run") or entry.get("failed")
    if why:
        return f"{family}<td colspan='4'>{'not run' if 'not_run' in entry else 'failed'}: {escape(why)}</td>"
    return (
        f"{family}<td>{verdict(entry)}</td><td>× {entry['step_ratio']:.3f}</td><td>× {entry['peak_ratio']:.3f}</td>"
        f"<td>{entry['kept_bytes'] / 1e6:.1f} MB</td>"
    )


def verdict(entry: dict) -> str:
    if entry["same_latent"]:
        return "<span class='good'>the same, bit for bit</span>"
    by_itself = "" if entry["model_repeats_itself"] else ", but the model alone does not repeat itself here either"
    return f"<span class='bad'>differs by up to {entry['largest_difference']:.3g}{by_itself}</span>"


def section(entry: dict, card: Card | None) -> str:
    if card is None:
        return ""
    chosen = entry["settings"]
    pairs = {
        "family": entry["family"],
        "loaded with": ", ".join(entry.get("with", [])) or "what is in the same file",
        "weights": entry["weights"],
        "sampled": f"{chosen['side']} x {chosen['side']} pixels, {chosen['steps']} steps, cfg {chosen['cfg']:g}"
        + (f", {chosen['frames']} frames" if chosen["frames"] > 1 else ""),
        "a step without the nodes": f"{entry['step_seconds']:.3g} s (median)",
        "peak without the nodes": f"{entry['peak_bytes_without'] / 1e9:.2f} GB",
        "blocks": f"{entry['blocks']}, of which {entry['default_blocks']} are the default",
        "temperature": f"{entry['recipe']['temperature']:g}"
        if entry["recipe"]["temperature"]
        else "from the scores' spread, block by block",
    }
    prompts = "".join(of_prompt(one, scores) for one, scores in zip(card.sampled, card.scores))
    return f"<h2>{escape(entry['model'])}</h2>{table(pairs)}{prompts}"


def of_prompt(one: Sampled, scores: dict) -> str:
    pictures = "".join(f"<img src='{source}' alt='painted'>" for source in painted(one))
    maps = "".join(f"<tr><th>{escape(name)}</th>{''.join(map(of_map, tiles))}</tr>" for name, tiles in rows(one))
    presence = ", ".join(
        f"{name} {score:.2f}{' (absent)' if name == scores['absent'] else ''}" for name, score in scores["presence"].items()
    )
    return (
        f"<h3>{escape(one.prompt.text)}</h3><div class='row'>{pictures}</div><p>Presence: {escape(presence)}</p>"
        f"<table class='maps'>{maps}</table>{of_scores(scores)}"
    )


def of_map(tile: str) -> str:
    return f"<td><img src='{tile}' alt='map'></td>"


def of_scores(scores: dict) -> str:
    """By block, the mean over all steps."""
    spreads, highest = mean_by_block(scores["spread"]), mean_by_block(scores["highest"])
    cells = [(f"{spread:.3g}", f"{high:.3g}") for spread, high in zip(spreads, highest)]
    lines = "".join(f"<tr><td>{block}</td><td>{spread}</td><td>{high}</td></tr>" for block, (spread, high) in enumerate(cells))
    keys = {"alone": "one concept alone has the token", "grey": "all have it evenly", "agrees": "the strongest is that of the default maps"}
    legend = "".join(f"<span style='color:{COLOURS[name]}'>■ {text} </span>" for name, text in keys.items())
    shares = chart({name: mean_by_block(scores[name]) for name in COLOURS})
    return (
        f"<p class='small'>Share of tokens by block, the mean over all steps: {legend}</p>{shares}"
        "<details><summary>Spread of scores by block</summary><table><tr><th>block</th><th>spread</th><th>highest</th></tr>"
        f"{lines}</table></details>"
    )


def chart(lines: dict[str, list[float]]) -> str:
    """Lines of values in 0..1 over the blocks."""
    width, height = CHART
    count = max(2, max(map(len, lines.values())))
    drawn = []

    def at(place: int) -> float:
        return 30 + place * (width - 50) / (count - 1)

    for name, values in lines.items():
        points = " ".join(f"{at(place):.1f},{height - 20 - value * (height - 30):.1f}" for place, value in enumerate(values))
        drawn.append(f"<polyline points='{points}' fill='none' stroke='{COLOURS[name]}' stroke-width='2'/>")
    places = [(at(place), height - 6, place) for place in range(0, count, max(1, count // 20))]
    marks = "".join(f"<text x='{x:.1f}' y='{y}' font-size='10' text-anchor='middle'>{text}</text>" for x, y, text in places + ENDS)
    return f"<svg width='{width}' height='{height}' role='img'>{''.join(drawn)}{marks}</svg>"
