"""Help pages and locales say of every node what it has; written anew with `python run.py test tests/live --write-contract`."""

import json
import re

import node_texts
import pytest
from comfy_server import ROOT

LANGUAGES = {"en", "zh", "ja", "ko"}
SECTIONS = ["Inputs", "Outputs", "How to connect it", "When it goes wrong"]


@pytest.fixture(scope="module")
def nodes(live, request):
    if request.config.getoption("--write-contract"):
        node_texts.write(live.declared)
    return node_texts.ours(live.declared)


def locale(language, file="nodeDefs"):
    return json.loads((ROOT / "locales" / language / f"{file}.json").read_text(encoding="utf-8"))


def keys(value, path=()):
    if not isinstance(value, dict):
        return {path}
    return {key for name, below in value.items() for key in keys(below, (*path, name))}


def test_every_node_has_a_help_page_with_a_picture(nodes):
    assert {path.stem for path in node_texts.HELP.glob("*.md")} == set(nodes)
    for name, about in nodes.items():
        text = (node_texts.HELP / f"{name}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {about['display_name']}\n") and re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
        assert text == node_texts.help_page(text, about), f"the tables of {name} are old"
        (picture,) = re.findall(r"!\[[^]]+\]\((.*?)\)", text)
        assert (node_texts.HELP / picture).is_file()


def test_the_english_locale_is_what_the_nodes_say(nodes, live):
    assert locale("en") == node_texts.english(live.declared)


def test_the_other_locales_have_the_same_texts(nodes):
    assert {path.name for path in (ROOT / "locales").iterdir()} == LANGUAGES
    settings = re.findall(r"\bid: '(.*)'", (ROOT / "web" / "settings.js").read_text(encoding="utf-8"))
    in_settings = {(name.replace(".", "_"), text) for name in settings for text in ("name", "tooltip")}
    for language in LANGUAGES:
        assert keys(locale(language)) == keys(locale("en")), language
        assert language == "en" or keys(locale(language, "settings")) == in_settings, language


def test_the_server_gives_the_locales_out(nodes, live):
    served = live.do(lambda client: client.get("/i18n"))
    for language in LANGUAGES:
        assert served[language]["nodeDefs"].items() >= locale(language).items()
        assert language == "en" or served[language]["settings"].items() >= locale(language, "settings").items()
