"""Help pages and locales say of every node what it has; written anew with `python run.py test tests/live --write-contract`."""

import re

import node_texts
import pytest
from node_texts import LANGUAGES, locale
from translated import Translator

LOCALES = {"en", "zh", "ja", "ko"}  # of names and tooltips; help pages are in LANGUAGES
IN_EVERY_LANGUAGE = pytest.mark.parametrize("language", LANGUAGES)
TRANSLATED = pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])


@pytest.fixture(scope="module")
def nodes(live, request):
    if request.config.getoption("--write-contract"):
        node_texts.write(live.declared)
    return node_texts.ours(live.declared)


def leaves(value, path=()):
    if isinstance(value, dict):
        return [leaf for name, below in value.items() for leaf in leaves(below, (*path, name))]
    return [(path, value)]


def keys(value):
    return {path for path, _ in leaves(value)}


def page(name, language="en"):
    return node_texts.page(name, language).read_text(encoding="utf-8")


def pictures(text):
    return re.findall(r"!\[[^]]+\]\((.*?)\)", text)


@IN_EVERY_LANGUAGE
def test_every_node_has_a_help_page_and_every_page_a_node(nodes, language):
    pattern = node_texts.page("*", language).relative_to(node_texts.HELP)
    assert {path.relative_to(node_texts.HELP).parts[0].removesuffix(".md") for path in node_texts.HELP.glob(str(pattern))} == set(nodes)


@IN_EVERY_LANGUAGE
def test_a_help_page_has_a_picture_and_tables_of_what_the_node_has(nodes, language):
    for name, about in nodes.items():
        text, said = page(name, language), locale(language)[name]
        assert text.startswith(f"# {said['display_name']}\n"), name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == LANGUAGES[language].sections, name
        assert text == node_texts.help_page(text, about, said, language), f"the tables of {name} are old"
        (picture,) = pictures(text)
        assert pictures(page(name)) == [picture] and (node_texts.HELP / picture).is_file(), name


@TRANSLATED
def test_a_translated_help_page_says_what_the_english_one_says(nodes, language):
    translator = Translator(language)
    found = [f"{name}: {one}" for name in nodes for one in translator.differences(page(name), page(name, language))]
    assert not found, "\n".join(found)


CHANGES = {
    "an item less": ("- *Nothing is recorded yet*", "*Nothing is recorded yet*"),
    "another number": ("the last 30 %", "the last 40 %"),
    "another literal": ("`s0-s9`", "`s0-s8`"),
    "another message": ("*The samples hold NaN*", "*The latent holds NaN*"),
    "another input": ("- `temperature` 1", "- `order` 1"),
    "another node": ("comes from *Apply Concept Attention*", "comes from *Load Concept Recording*"),
    "another model": ("of Flux dev", "of SD3.5"),
}


@pytest.mark.parametrize("changed", CHANGES)
def test_a_change_of_the_english_page_alone_is_noticed(nodes, changed):
    before, after = CHANGES[changed]
    name = "ConceptAttentionDecode"
    assert page(name).count(before) == 1
    assert len(list(Translator("zh").differences(page(name).replace(before, after), page(name, "zh")))) == 1


def test_the_english_locale_is_what_the_nodes_say(nodes, live):
    assert locale("en") == node_texts.english(live.declared)


def test_the_other_locales_have_the_same_texts(nodes):
    assert {"en", *node_texts.translations()} == LOCALES
    settings = re.findall(r"\bid: '(.*)'", (node_texts.ROOT / "web" / "settings.js").read_text(encoding="utf-8"))
    in_settings = {(name.replace(".", "_"), text) for name in settings for text in ("name", "tooltip")}
    for language in LOCALES:
        assert keys(locale(language)) == keys(locale("en")), language
        assert language == "en" or keys(locale(language, "settings")) == in_settings, language


def test_the_other_locales_are_translated(nodes):
    for language in node_texts.translations():
        texts = {path: text for path, text in leaves(locale(language)) if path[-1] != "name"}
        left = [path for path, text in leaves(locale("en")) if texts.get(path) == text]
        assert not left, f"still in English in {language}: {left}"


@TRANSLATED
def test_a_translated_text_has_the_numbers_and_names_of_the_english_one(nodes, language):
    translator, translated = Translator(language), dict(leaves(locale(language)))
    found = [
        f"{path}: {one}"
        for path, text in leaves(locale("en"))
        for one in translator.missed_names(text, translated[path])
        if path[-1] != "name"
    ]
    assert not found, "\n".join(found)


def test_the_server_gives_the_locales_out(nodes, live):
    served = live.do(lambda client: client.get("/i18n"))
    for language in LOCALES:
        assert served[language]["nodeDefs"].items() >= locale(language).items()
        assert language == "en" or served[language]["settings"].items() >= locale(language, "settings").items()
