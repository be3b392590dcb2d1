"""The colours of the pack's own sockets."""

TYPES = ["CONCEPT_ATTENTION_CONCEPTS", "CONCEPT_ATTENTION_RECORDING", "CONCEPT_ATTENTION_MAPS"]
CLASSIC = """(types) => types.flatMap((type) => [
    app.canvas.default_connection_color_byType[type], app.canvas.constructor.link_type_colors[type]])"""
VUE = "(types) => types.map((type) => getComputedStyle(document.documentElement).getPropertyValue(`--color-datatype-${type}`).trim())"


def test_each_has_a_colour_of_its_own_with_every_palette_unless_the_palette_has_one(editor):
    for palette in ("dark", "light"):
        editor.page.evaluate("(palette) => app.extensionManager.setting.set('Comfy.ColorPalette', palette)", palette)
        editor.page.wait_for_timeout(500)
        sockets, links = (editor.page.evaluate(CLASSIC, TYPES)[at::2] for at in (0, 1))
        others = editor.page.evaluate("() => Object.entries(app.canvas.default_connection_color_byType)")
        assert sockets == links == editor.page.evaluate(VUE, TYPES)
        assert len(set(sockets)) == len(TYPES) and not set(sockets) & {colour for kind, colour in others if kind not in TYPES}
    kind = TYPES[0]
    editor.page.evaluate("(kind) => { app.canvas.default_connection_color_byType[kind] = '#123456' }", kind)
    assert editor.page.evaluate("(kind) => app.canvas.default_connection_color_byType[kind]", kind) == "#123456"
