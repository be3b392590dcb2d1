"""The colours of the pack's own sockets."""

import pytest

TYPES = ["CONCEPT_ATTENTION_CONCEPTS", "CONCEPT_ATTENTION_RECORDING", "CONCEPT_ATTENTION_MAPS"]
CLASSIC = """(types) => types.flatMap((type) => [
    app.canvas.default_connection_color_byType[type], app.canvas.constructor.link_type_colors[type]])"""
VUE = "(types) => types.map((type) => getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${type}`).trim())"


@pytest.mark.parametrize("palette", ["dark", "light"])
def test_each_has_a_colour_of_its_own_with_every_palette(editor, palette):
    editor.page.evaluate("(palette) => app.extensionManager.setting.set('Comfy.ColorPalette', palette)", palette)
    editor.page.wait_for_timeout(500)
    sockets, links = (editor.page.evaluate(CLASSIC, TYPES)[at::2] for at in (0, 1))
    others = editor.page.evaluate("() => Object.entries(app.canvas.default_connection_color_byType)")
    assert sockets == links == editor.page.evaluate(VUE, TYPES)
    assert len(set(sockets)) == len(TYPES) and not set(sockets) & {colour for kind, colour in others if kind not in TYPES}


def test_a_palettes_own_colour_goes_before(editor):
    kind = TYPES[0]
    editor.page.evaluate("(kind) => { app.canvas.default_connection_color_byType[kind] = '#123456' }", kind)
    assert editor.page.evaluate("(kind) => app.canvas.default_connection_color_byType[kind]", kind) == "#123456"
