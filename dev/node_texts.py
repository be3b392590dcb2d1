"""What the interface says of the nodes, from their own declarations: the English locale, and the tables of the help pages."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HELP = ROOT / "web" / "docs"
LOCALES = ROOT / "locales"


def ours(declared: dict) -> dict:
    """Of what the server says of all nodes what it says of this pack's."""
    return {name: about for name, about in sorted(declared.items()) if name.startswith("ConceptAttention")}


def inputs(about: dict):
    """(name, kind, options) of each."""
    for group in ("required", "optional"):
        for name, (kind, *options) in about["input"].get(group, {}).items():
            yield name, kind, {**(options[0] if options else {}), "optional": group == "optional"}


def english(declared: dict) -> dict:
    """As ComfyUI reads locales/en/nodeDefs.json."""
    return {
        name: {
            "display_name": about["display_name"],
            "description": about["description"],
            "inputs": {input_name: {"name": input_name, "tooltip": options["tooltip"]} for input_name, _, options in inputs(about)},
            "outputs": {
                str(place): {"name": output_name, "tooltip": tooltip}
                for place, (output_name, tooltip) in enumerate(zip(about["output_name"], about["output_tooltips"]))
            },
        }
        for name, about in ours(declared).items()
    }


def help_page(text: str, about: dict) -> str:
    """A help page with the tables of its inputs and outputs written anew."""
    rows = [
        (f"**{name}**{' (optional)' * options['optional']}", default(kind, options), options["tooltip"])
        for name, kind, options in inputs(about)
    ]
    text = section(text, "Inputs", table(("input", "", "what it is"), rows) if rows else "None.")
    outputs = zip(about["output_name"], about["output"], about["output_tooltips"])
    rows = [(f"**{name}**", default(kind, {}), tooltip) for name, kind, tooltip in outputs]
    return section(text, "Outputs", table(("output", "", "what it is"), rows) if rows else "None: it writes a file.")


def default(kind, options) -> str:
    """A socket's kind, or a widget's default."""
    if "options" in options:
        return "one of a list of files" if "default" not in options else f"`{options['default']}`"
    if "default" not in options:
        return kind.removeprefix("CONCEPT_ATTENTION_").lower() if kind.startswith("CONCEPT_ATTENTION_") else kind
    value = options["default"]
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`" if value != "" else "empty"


def table(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


def section(text, title, content) -> str:
    return re.sub(rf"(## {title}\n\n).*?(?=## )", lambda found: f"{found[1]}{content}\n\n", text, count=1, flags=re.DOTALL)


def write(declared: dict):
    LOCALES.joinpath("en").mkdir(parents=True, exist_ok=True)
    LOCALES.joinpath("en", "nodeDefs.json").write_text(as_json(english(declared)), encoding="utf-8")
    for name, about in ours(declared).items():
        page = HELP / f"{name}.md"
        page.write_text(help_page(page.read_text(encoding="utf-8"), about), encoding="utf-8")


def as_json(value) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
