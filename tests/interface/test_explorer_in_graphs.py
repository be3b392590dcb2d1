"""Concept Explorer as a node: in graphs that are run, changed, copied and opened again, in both renderings."""

import copy

import numpy as np
import pytest
from editor import AS_ELEMENTS, BOTH_RENDERINGS
from explorer_panel import NODE, Explorer, places


@pytest.mark.parametrize("mode", [2, 4], ids=["muted", "bypassed"])
def test_the_template_runs_without_it(editor, live, mode):
    editor.open(live.workflow_file("01 Explore concepts (demo)"))
    editor.page.evaluate(
        f"""() => {{
            {NODE}.mode = {mode}
            app.graph.nodes.find((node) => node.type === 'KSampler').widgets.find((widget) => widget.name === 'steps').value = 1
        }}"""
    )
    editor.queue()


def state_of(explorer):
    explorer.wait()
    return explorer.widget("pinned"), explorer.widget("threshold"), explorer.selected(), explorer.drawn().tolist()


@pytest.mark.new_page
def test_it_survives_a_reload_of_the_page_and_of_the_workflow(explorer):
    explorer.row("star").click()
    explorer.button("Mask").click()
    explorer.set_widget("threshold", 0.35)
    explorer.page.mouse.move(5, 500)
    before, saved = state_of(explorer), explorer.editor.serialized()
    explorer.editor.open(saved)
    assert state_of(explorer) == before
    explorer.editor.reload()
    explorer.editor.open(saved)
    assert state_of(explorer) == before and before[2] == ["star"]


def test_undo_and_redo(explorer):
    explorer.page.mouse.click(*explorer.at(0.02, 0.02))
    explorer.page.wait_for_timeout(300)
    selected = [explorer.widget("pinned")]
    explorer.row("star").locator(".name").click()
    explorer.page.wait_for_timeout(300)
    selected.append(explorer.widget("pinned"))
    assert selected == ["grass", "star"]
    explorer.editor.run_command("Comfy.Undo")
    explorer.page.wait_for_timeout(500)
    assert state_of(explorer)[::2][0] == "grass" and explorer.selected() == ["grass"]
    explorer.editor.run_command("Comfy.Redo")
    explorer.page.wait_for_timeout(500)
    assert state_of(explorer)[0] == "star" and explorer.selected() == ["star"]


def test_undo_across_a_run_keeps_the_maps(explorer):
    explorer.row("star").locator(".name").click()
    explorer.run()
    before = explorer.editor.serialized()
    explorer.run()
    assert explorer.editor.serialized() == before  # a run is no change of the workflow
    explorer.editor.run_command("Comfy.Undo")
    explorer.page.wait_for_timeout(500)
    explorer.wait()
    assert explorer.selected() == ["circle"]


def test_what_is_selected_may_come_from_another_node(explorer):
    explorer.page.evaluate(
        f"""() => {{
            const text = LiteGraph.createNode('PrimitiveStringMultiline')
            app.graph.add(text)
            text.widgets[0].value = 'star'
            text.connect(0, {NODE}, {NODE}.findInputSlot('pinned'))
        }}"""
    )
    explorer.run()
    explorer.page.wait_for_function("document.querySelector('.concept-explorer li.selected .name')?.textContent === 'star'")
    explorer.row("square").locator(".name").click()
    assert explorer.selected() == ["star"]
    assert "comes from another node" in explorer.page.locator(".concept-explorer p").inner_text()


def test_a_single_picture_has_no_pager(editor, workflow):
    single = copy.deepcopy(workflow)
    (latent,) = (node for node in single["nodes"] if node["type"] == "EmptySD3LatentImage")
    latent["widgets_values"][2] = 1
    explorer = Explorer(editor, single)
    explorer.run()
    assert explorer.page.locator(".concept-explorer .pager").is_hidden()


def test_shortcuts_of_the_interface_still_work(explorer):
    explorer.row("star").locator(".name").click()
    explorer.page.mouse.move(5, 500)
    explorer.page.evaluate("() => { window.queued = 0; app.queuePrompt = () => { window.queued++; return true } }")  # in front of its own
    explorer.page.keyboard.press("Control+Enter")
    explorer.page.wait_for_timeout(500)
    assert explorer.widget("pinned") == "star"
    assert explorer.page.evaluate("window.queued") == 1
    explorer.page.evaluate("() => { delete window.queued; delete app.queuePrompt }")


def test_copy_and_collapse(explorer):
    explorer.row("star").click()
    explorer.page.mouse.move(5, 500)
    explorer.page.evaluate(f"() => {{ app.canvas.selectItems([{NODE}]); app.canvas.copyToClipboard(); app.canvas.pasteFromClipboard() }}")
    explorer.page.wait_for_function("document.querySelectorAll('.concept-explorer:not(.without-maps)').length === 2")
    values = explorer.page.evaluate(
        "() => app.graph.nodes.filter((node) => node.type === 'ConceptAttentionExplorer').map((node) => node.widgets[0].value)"
    )
    assert values == ["star", "star"]
    keys = "() => app.graph.nodes.map((node) => node.properties.concept_explorer?.key).filter(Boolean)"
    assert len(set(explorer.page.evaluate(keys))) == 1
    copied = "app.graph.nodes.filter((node) => node.type === 'ConceptAttentionExplorer').at(-1)"
    explorer.page.evaluate(f"() => {copied}.onExecuted({{ concept_explorer: ['of another run.json'] }})")
    explorer.page.wait_for_function(
        "[...document.querySelectorAll('.concept-explorer p')].some((p) => p.textContent.includes('no longer'))"
    )
    assert len(set(explorer.page.evaluate(keys))) == 2
    explorer.page.evaluate("() => { app.graph.remove(app.graph.nodes.filter((node) => node.type === 'ConceptAttentionExplorer').at(-1)) }")
    explorer.page.wait_for_function("document.querySelectorAll('.concept-explorer').length === 1")
    before = explorer.drawn()
    explorer.page.evaluate(f"() => {{ {NODE}.collapse(); app.canvas.draw(true, true) }}")
    explorer.page.wait_for_function("document.querySelector('.concept-explorer').checkVisibility() === false")
    explorer.page.evaluate(f"() => {{ {NODE}.collapse(); app.canvas.draw(true, true) }}")
    explorer.page.wait_for_function("document.querySelector('.concept-explorer').checkVisibility()")
    assert (explorer.drawn() == before).all()


def test_before_the_first_run(editor, workflow):
    message = Explorer(editor, workflow).page.locator(".concept-explorer p")
    assert message.is_visible() and "Run the workflow" in message.inner_text()


@pytest.mark.new_page
def test_after_a_restart(explorer, live):
    """Temporary files are gone, and the next run makes them again under the same names."""
    before, saved = explorer.drawn(), explorer.editor.serialized()
    name = explorer.page.evaluate("() => Object.entries(sessionStorage).find(([key]) => key.startsWith('concept_explorer'))[1]")
    file = live.base / "temp" / name
    content = file.read_bytes()
    file.unlink()
    try:
        explorer.editor.reload()
        explorer.editor.open(saved)
        explorer.page.locator(".concept-explorer p", has_text="no longer").wait_for()
    finally:
        file.write_bytes(content)
    explorer.run()
    assert (explorer.drawn() == before).all()


@pytest.mark.parametrize("editor", [AS_ELEMENTS], indirect=True, ids=["as elements"])
def test_in_the_other_rendering_of_nodes(editor, workflow):
    explorer = Explorer(editor, workflow)
    explorer.run()
    explorer.page.wait_for_timeout(500)
    spots = places(explorer)
    for name, spot in spots.items():
        explorer.page.mouse.move(*explorer.at(*spot))
        assert explorer.ranked()[0][0] == name
    before = explorer.page.evaluate(f"() => [...{NODE}.pos]")
    explorer.page.mouse.click(*explorer.at(*spots["grass"]))
    assert explorer.widget("pinned") == "grass" and explorer.page.evaluate(f"() => [...{NODE}.pos]") == before
    explorer.button("Mask").click()
    explorer.page.mouse.move(5, 500)
    before = explorer.drawn()
    node = explorer.page.locator("[data-node-id]", has=explorer.canvas)
    node.locator("[role=slider]").first.focus()
    for _ in range(30):
        explorer.page.keyboard.press("ArrowRight")
    explorer.page.wait_for_timeout(300)
    assert explorer.widget("threshold") == pytest.approx(0.8) and (explorer.drawn() != before).any()
    node.locator("input:not([type=range])").first.fill("star")
    explorer.page.keyboard.press("Tab")
    explorer.page.wait_for_function("document.querySelector('.concept-explorer li.selected .name').textContent === 'star'")
    editor.screenshot("other rendering")


@pytest.mark.parametrize("editor", [{"has_touch": True}], indirect=True)
def test_fingers(explorer):
    spots = places(explorer)
    name = next(name for name in spots if name != "circle")
    explorer.page.touchscreen.tap(*explorer.at(*spots[name]))
    assert explorer.widget("pinned") == name and explorer.ranked()[0][0] == name


@pytest.mark.parametrize("editor", [{"Comfy.Locale": "zh"}], indirect=True)
def test_in_chinese(editor, workflow):
    explorer = Explorer(editor, workflow)
    explorer.run()
    assert explorer.button("热力图").is_visible()
    editor.screenshot("chinese")


def view(explorer):
    return explorer.page.evaluate("() => [app.canvas.ds.scale, ...app.canvas.ds.offset]")


@BOTH_RENDERINGS
def test_wheel_and_middle_button_move_the_graph(explorer):
    mouse, nodes = explorer.page.mouse, "() => app.graph.nodes.length"
    explorer.page.wait_for_timeout(300)
    before = explorer.page.evaluate(nodes)
    for clicked in (explorer.canvas, explorer.row("grass").locator(".name")):
        clicked.click()
        mouse.wheel(0, -120)
        explorer.page.wait_for_timeout(300)
        assert view(explorer)[0] > 1.05
        explorer.center()
    start = view(explorer)
    x, y = explorer.at(0.5, 0.5)
    mouse.move(x, y)
    mouse.down(button="middle")
    mouse.move(x + 40, y + 30, steps=4)
    mouse.up(button="middle")
    explorer.page.wait_for_timeout(300)
    assert np.round(np.subtract(view(explorer), start)).tolist() == [0, 40, 30] and explorer.page.evaluate(nodes) == before
    explorer.center()
    long = explorer.page.locator(".concept-explorer ol")
    long.evaluate("(list) => { list.style.flex = 'none'; list.style.height = '50px' }")
    explorer.row("circle").locator(".name").click()
    mouse.wheel(0, 40)
    explorer.page.wait_for_timeout(300)
    assert view(explorer)[0] == 1 and long.evaluate("(list) => list.scrollTop") > 0


def test_the_properties_panel_leaves_it_as_it_is(explorer):
    explorer.page.evaluate("() => app.extensionManager.setting.set('Comfy.RightSidePanel.IsOpen', true)")
    explorer.page.evaluate(f"() => app.canvas.selectItems([{NODE}])")
    explorer.page.locator(".widget-item", has_text="threshold").first.wait_for()
    explorer.center()
    assert not explorer.page.locator(".widget-item", has_text="explorer").count()
    node = explorer.page.evaluate(f"() => {NODE}.size[0]")
    assert node - 30 < explorer.page.locator(".concept-explorer").bounding_box()["width"] < node
    explorer.page.evaluate("() => app.extensionManager.setting.set('Comfy.RightSidePanel.IsOpen', false)")


def test_a_run_that_fails_says_why_until_the_next_one(explorer):
    explorer.page.evaluate(
        "() => { app.graph.nodes.find((node) => node.type === 'ConceptAttentionDecode').widgets[1].value = '77' }"  # blocks
    )
    with pytest.raises(RuntimeError, match="not within this model"):
        explorer.editor.queue()
    explorer.page.locator(".concept-explorer .error").wait_for()
    (kind, text), (other, earlier) = explorer.notes()
    assert kind == "error" and text.startswith("The run failed at Decode Concept Maps: blocks")
    assert other == "earlier" and "earlier run" in earlier
    explorer.editor.screenshot("failed")
    explorer.page.evaluate("() => { app.graph.nodes.find((node) => node.type === 'ConceptAttentionDecode').widgets[1].value = 'auto' }")
    explorer.run()
    assert not explorer.notes()


def test_its_own_failure_is_said_too(explorer):
    explorer.page.evaluate(
        f"""() => {{
            const image = LiteGraph.createNode('EmptyImage')
            app.graph.add(image)
            image.connect(0, {NODE}, {NODE}.findInputSlot('image'))
        }}"""
    )
    with pytest.raises(RuntimeError):
        explorer.editor.queue()
    explorer.page.locator(".concept-explorer .error", has_text="image: 512 x 512 pixels have other proportions").wait_for()


@pytest.mark.new_page
def test_a_template_that_was_only_run_has_its_maps_after_a_reload(editor, workflow):
    editor.page.evaluate("(workflow) => app.loadGraphData(workflow, true, true, 'a template')", workflow)
    explorer = Explorer(editor)
    explorer.run()
    editor.page.wait_for_timeout(1500)  # it is stored as a draft
    editor.reload()
    explorer.wait()


@BOTH_RENDERINGS
def test_what_has_no_effect_in_concept_mask_is_greyed_out(editor):
    node = editor.only("ConceptAttentionMask")
    if editor.page.evaluate("LiteGraph.vueNodesMode"):
        editor.center(node)
        editor.page.locator(f"[data-node-id='{node}'] input:disabled").first.wait_for()
    mask = "app.graph.nodes.find((node) => node.comfyClass.endsWith('Mask'))"
    disabled = f"() => {mask}.widgets.filter((widget) => widget.disabled).map((widget) => widget.name)"
    assert editor.page.evaluate(disabled) == ["threshold", "edge_radius"]
    editor.page.evaluate(
        f"() => {{ const image = LiteGraph.createNode('LoadImage'); app.graph.add(image); image.connect(0, {mask}, 'image') }}"
    )
    editor.page.evaluate(f"() => {{ {mask}.widgets[1].value = 'threshold'; {mask}.widgets[1].callback('threshold') }}")
    assert editor.page.evaluate(disabled) == []
    saved = editor.serialized()
    editor.page.evaluate("(saved) => app.loadGraphData(saved)", saved)
    editor.page.wait_for_function("app.graph.nodes.length === 2")
    assert editor.page.evaluate(disabled) == []


def test_in_app_mode_the_picture_is_as_wide_as_there_is_room(editor, workflow):
    (node,) = (node for node in workflow["nodes"] if node["type"] == "ConceptAttentionExplorer")
    chosen = {"linearMode": True, "linearData": {"inputs": [[node["id"], "explorer"]], "outputs": [node["id"]]}}
    app = {**workflow, "extra": {**workflow.get("extra", {}), **chosen}}
    editor.page.evaluate("(app) => window.app.loadGraphData(app, true, true, 'an app')", app)
    explorer = Explorer(editor)
    explorer.run()
    panel, picture = explorer.page.locator(".concept-explorer").bounding_box(), explorer.canvas.bounding_box()
    assert panel["width"] > 250 and picture["width"] > panel["width"] - 12
