"""What the interface says of the nodes, from their own declarations: the English locale, and the tables of the help pages."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]
HELP = ROOT / "web" / "docs"
LOCALES = ROOT / "locales"

LANGUAGES = {  # of the help pages; names and tooltips are those of the locale
    "en": SimpleNamespace(
        sections=["Inputs", "Outputs", "How to connect it", "When it goes wrong"],
        heads=[("input", "", "what it is"), ("output", "", "what it is")],
        none="None.",
        writes="None: it writes a file.",
        optional="optional",
        notes=(" (", ", ", ")"),
        file="one of a list of files",
        empty="empty",
        switch=("off", "on"),
        sockets={"CONCEPTS": "concepts", "RECORDING": "recording", "MAPS": "maps"},
    ),
    "zh": SimpleNamespace(
        sections=["输入", "输出", "如何连接", "问题排查"],
        heads=[("输入", "", "说明"), ("输出", "", "说明")],
        none="无。",
        writes="无：本节点写出一个文件。",
        optional="可选",
        notes=("（", "，", "）"),
        file="从文件列表中选择",
        empty="空",
        switch=("关", "开"),
        sockets={"CONCEPTS": "概念", "RECORDING": "记录", "MAPS": "概念图"},
    ),
}
SOCKET = "CONCEPT_ATTENTION_"


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


def page(name: str, language: str) -> Path:
    """Where ComfyUI looks for it. Its pictures lie beside the English page in every language."""
    return HELP / f"{name}.md" if language == "en" else HELP / name / f"{language}.md"


def locale(language: str, file: str = "nodeDefs") -> dict:
    return json.loads((LOCALES / language / f"{file}.json").read_text(encoding="utf-8"))


def help_page(text: str, about: dict, said: dict, language: str = "en") -> str:
    """A help page with the tables of its inputs and outputs written anew. said: what the language's locale says of the node."""
    words = LANGUAGES[language]
    rows = [
        (named(words, name, told["name"], options["optional"]), default(words, kind, options), literal(told["tooltip"]))
        for name, kind, options, told in ((*one, said["inputs"][one[0]]) for one in inputs(about))
    ]
    text = section(text, words.sections[0], table(words.heads[0], rows) if rows else words.none)
    rows = [
        (named(words, name, told["name"]), default(words, kind, {}), literal(told["tooltip"]))
        for name, kind, told in zip(about["output_name"], about["output"], said["outputs"].values())
    ]
    return section(text, words.sections[1], table(words.heads[1], rows) if rows else words.writes)


def literal(text: str) -> str:
    return text.replace("*", r"\*")


def named(words, name, shown, is_optional=False) -> str:
    """As the interface shows it, with the name that messages use where it is another."""
    opening, comma, closing = words.notes
    notes = [name] * (name != shown) + [words.optional] * is_optional
    return f"**{shown}**" + (opening + comma.join(notes) + closing if notes else "")


def default(words, kind, options) -> str:
    """A socket's kind, or a widget's default."""
    if "options" in options:
        return words.file if "default" not in options else f"`{options['default']}`"
    if "default" not in options:
        return words.sockets[kind.removeprefix(SOCKET)] if kind.startswith(SOCKET) else kind
    value = options["default"]
    if isinstance(value, bool):
        return words.switch[value]
    return f"`{value}`" if value != "" else words.empty


def table(head, rows) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


def section(text, title, content) -> str:
    return re.sub(rf"(## {title}\n\n).*?(?=## )", lambda found: f"{found[1]}{content}\n\n", text, count=1, flags=re.DOTALL)


def write(declared: dict):
    """What is new comes into the other locales in English, and as an empty page: tests name it until it is translated."""
    texts = english(declared)
    LOCALES.joinpath("en", "nodeDefs.json").write_text(as_json(texts), encoding="utf-8")
    for language in translations():
        LOCALES.joinpath(language, "nodeDefs.json").write_text(as_json(follow(texts, locale(language))), encoding="utf-8")
    for language, words in LANGUAGES.items():
        for name, said in locale(language).items():
            file = page(name, language)
            file.parent.mkdir(exist_ok=True)
            text = file.read_text(encoding="utf-8") if file.is_file() else blank(said["display_name"], words)
            file.write_text(help_page(text, declared[name], said, language), encoding="utf-8")


def translations() -> list[str]:
    return sorted(folder.name for folder in LOCALES.iterdir() if folder.name != "en")


def follow(texts: dict, translated: dict) -> dict:
    """What is translated, for what there is in English and in that order."""
    return {
        key: follow(text, translated.get(key, {})) if isinstance(text, dict) else translated.get(key, text) for key, text in texts.items()
    }


def blank(title, words) -> str:
    return "\n\n".join([f"# {title}", *(f"## {title}" for title in words.sections)]) + "\n"


def as_json(value) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
