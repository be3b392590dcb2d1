"""What a user may set for all graphs."""

from explorer_panel import NODE

COLORMAP, OPACITY = "ConceptAttention.Heatmaps.Colormap", "ConceptAttention.Heatmaps.Opacity"
SET = "([name, value]) => app.extensionManager.setting.set(name, value)"
VALUES = "(node) => Object.fromEntries(node.widgets.map(({ name, value }) => [name, value]))"


def test_the_explorer_and_new_nodes_take_what_is_set_and_stored_ones_keep_theirs(explorer, live):
    page = explorer.page
    explorer.row("star").hover()
    before, saved = explorer.drawn(), live.workflow_file("03 Heatmaps (demo)")
    page.evaluate(SET, [COLORMAP, "viridis"])
    coloured = explorer.drawn()
    assert (coloured != before).any()
    assert "68, 1, 84" in page.locator(".concept-explorer .scale i").evaluate("(bar) => getComputedStyle(bar).backgroundImage")  # 440154
    page.evaluate(SET, [OPACITY, 0.2])
    assert (explorer.drawn() != coloured).any() and page.locator(".concept-explorer label input").input_value() == "0.2"
    page.locator(".concept-explorer label input").fill("0.5")
    page.evaluate(SET, [OPACITY, 0.3])
    assert page.locator(".concept-explorer label input").input_value() == "0.5"  # this node's own
    assert page.evaluate(f"() => {NODE}.properties.concept_explorer.opacity") == 0.5
    explorer.editor.only("ConceptAttentionHeatmap")
    made = page.evaluate(f"() => ({VALUES})(app.graph.nodes[0])")
    assert (made["colormap"], made["opacity"]) == ("viridis", 0.3)
    explorer.editor.open(saved)
    kept = page.evaluate(f"() => ({VALUES})(app.graph.nodes.find((node) => node.type === 'ConceptAttentionHeatmap'))")
    assert kept["colormap"] == "plasma"


def test_the_settings_offer_every_colour_map(editor, live):
    declared = live.declared["ConceptAttentionHeatmap"]["input"]["required"]["colormap"]
    offered = editor.page.evaluate("(name) => app.ui.settings.settingsLookup[name].options", COLORMAP)
    assert offered == declared[1].get("options", declared[0])
    editor.run_command("Comfy.ShowSettingsDialog")
    dialog = editor.page.locator("[role=dialog]").first
    dialog.get_by_text("Concept Attention", exact=True).first.click()
    dialog.get_by_text("Colour map of heatmaps").first.wait_for()
    dialog.get_by_text("Opacity of heatmaps over the picture").first.wait_for()
    editor.screenshot("settings")
    dialog.get_by_text("About", exact=True).first.click()
    dialog.get_by_text("Concept Attention: the paper").wait_for()
    editor.screenshot("about")
    editor.page.keyboard.press("Escape")
