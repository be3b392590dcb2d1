"""Encode Concepts in the interface: what competes unseen is to be read on the node."""


def test_what_competes_unseen_is_shown_on_the_node(editor, live):
    editor.open(live.workflow_file("03 Heatmaps (demo)"))
    set_widgets = """(values) => {
        const node = app.graph.nodes.find((node) => node.type === 'ConceptAttentionEncodeConcepts')
        for (const [name, value] of Object.entries(values)) node.widgets.find((widget) => widget.name === name).value = value
    }"""
    shown = editor.page.locator(".concept-told")
    for values, competing in [
        ({"concepts": "circle"}, "Competing unseen: sky, ground, grass, water, sand, snow, wall, brick wall, floor, trees"),
        ({"prompt": "a red circle and a blue square on grass"}, "Competing unseen: blue square, grass"),
    ]:
        editor.page.evaluate(set_widgets, values)
        editor.queue()
        assert shown.inner_text() == competing
    editor.center(editor.page.evaluate("app.graph.nodes.find((node) => node.type === 'ConceptAttentionEncodeConcepts').id"))
    editor.screenshot("competing")
