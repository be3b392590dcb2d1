"""Concept Explorer in the real interface: what is drawn and said when the mouse, the keys and fingers ask."""

import copy

import numpy as np
import pytest
from explorer_panel import CONCEPTS, NODE, Explorer, places
from PIL import Image


@pytest.fixture(scope="module")
def workflow(live):
    made = live.workflow_file("01 Explore concepts (demo)")
    (latent,) = (node for node in made["nodes"] if node["type"] == "EmptySD3LatentImage")
    latent["widgets_values"] = [256, 192, 2]
    (sampler,) = (node for node in made["nodes"] if node["type"] == "KSampler")
    sampler["widgets_values"][2] = 8  # steps
    return made


@pytest.fixture
def explorer(editor, workflow):
    explorer = Explorer(editor, workflow)
    explorer.run()
    return explorer


def test_resting_on_the_picture_ranks_the_concepts(explorer):
    spots = places(explorer)
    explorer.page.mouse.move(5, 500)
    listed = explorer.ranked()
    assert [name for name, _ in listed] == CONCEPTS
    for name, spot in spots.items():
        explorer.page.mouse.move(*explorer.at(*spot))
        ranked = explorer.ranked()
        assert ranked[0][0] == name and ranked[0][1] > 50
        assert [share for _, share in ranked] == sorted((share for _, share in ranked), reverse=True)
        assert sum(share for _, share in ranked) == pytest.approx(100, abs=2)
        assert explorer.page.locator(".concept-explorer .marker").is_visible()
    explorer.editor.screenshot("hover")
    explorer.page.mouse.move(5, 500)
    assert explorer.ranked() == listed and explorer.page.locator(".concept-explorer .marker").is_hidden()


@pytest.mark.parametrize("scale", [0.6, 1.7])
def test_the_spot_is_right_at_any_zoom(explorer, scale):
    spots = places(explorer)
    explorer.center(scale)
    asked = 0
    for name, spot in spots.items():
        x, y = explorer.at(*spot)
        if 60 < x < 1440 and 60 < y < 940:
            explorer.page.mouse.move(x, y)
            assert explorer.ranked()[0][0] == name
            asked += 1
    assert asked >= 2


def test_resting_on_a_concept_shows_its_map(explorer):
    spots = places(explorer)
    explorer.page.locator(".concept-explorer input").fill("1")
    for name, (across, down) in spots.items():
        explorer.row(name).hover()
        assert explorer.seen() == [name]
        drawn = explorer.drawn()
        bright = drawn[int(down * len(drawn)), int(across * drawn.shape[1])].sum()
        elsewhere = [drawn[int(y * len(drawn)), int(x * drawn.shape[1])].sum() for other, (x, y) in spots.items() if other != name]
        assert bright > max(elsewhere) + 100, name
    explorer.page.mouse.move(5, 500)
    assert explorer.seen() == ["circle"]


def test_clicks_pin(explorer):
    spots = places(explorer)
    name, other = [name for name in spots if name != "circle"][:2]
    explorer.page.mouse.click(*explorer.at(*spots[name]))
    assert explorer.widget("pinned") == name and explorer.pinned() == [name]
    explorer.row(other).locator(".name").click(modifiers=["Shift"])
    assert explorer.widget("pinned") == f"{name} + {other}" and set(explorer.pinned()) == {name, other}
    explorer.row(name).locator("button").click()
    assert explorer.widget("pinned") == other
    explorer.row(other).locator(".name").click()
    assert explorer.widget("pinned") == "" and explorer.pinned() == []
    exported = explorer.editor.exported()
    (inputs,) = (node["inputs"] for node in exported.values() if node["class_type"] == "ConceptAttentionExplorer")
    assert inputs.keys() == {"maps", "image", "pinned", "threshold"} and inputs["pinned"] == ""


def test_the_mask_that_is_drawn_is_the_mask_that_comes_out(explorer, live):
    spots = places(explorer)
    name = next(name for name in spots if name not in ("grass", "circle"))  # clicked, circle would no longer be pinned
    explorer.row(name).click()
    explorer.page.mouse.move(5, 500)
    explorer.button("Mask").click()
    explorer.page.locator(".concept-explorer input").fill("1")
    shares = []
    for threshold in (0.3, 0.6):
        explorer.set_widget("threshold", threshold)
        drawn = (explorer.drawn() != [12, 12, 16]).any(2)
        shares.append(drawn.mean())
        assert drawn.shape == (192, 256)
        explorer.run()
        image = explorer.page.evaluate(
            """async () => {
                const { api } = await import('/scripts/api.js')
                const history = await (await api.fetchApi('/history?max_items=1')).json()
                const [{ outputs }] = Object.values(history)
                return outputs[app.graph.nodes.find((node) => node.title === 'Pinned').id].images[0]
            }"""
        )
        made = np.asarray(Image.open(live.base / "temp" / image["filename"]).convert("L")) > 127
        assert (made != drawn).mean() < 0.002
    assert shares[0] > shares[1] > 0.01
    explorer.editor.screenshot("mask")


def test_keys(explorer):
    explorer.row("circle").click()
    explorer.row("circle").click()  # pinned again
    explorer.page.mouse.move(5, 500)
    before = explorer.page.evaluate(f"() => [...{NODE}.pos]")
    seen = []
    for _ in range(5):
        explorer.page.keyboard.press("ArrowRight")
        seen += explorer.seen()
    assert seen == ["square", "star", "grass", "circle", "square"]
    explorer.page.keyboard.press("ArrowLeft")
    explorer.page.keyboard.press("ArrowLeft")
    assert explorer.seen() == ["grass"]
    explorer.page.keyboard.press("Enter")
    assert explorer.widget("pinned") == "grass"
    first = explorer.drawn()
    explorer.page.keyboard.press("ArrowDown")
    assert explorer.page.locator(".concept-explorer .pager span").inner_text() == "2 / 2" and (explorer.drawn() != first).any()
    explorer.page.keyboard.press("ArrowDown")
    assert (explorer.drawn() == first).all()
    assert explorer.page.evaluate(f"() => [...{NODE}.pos]") == before


def test_the_second_picture_has_its_own_maps(explorer):
    spots = places(explorer)
    explorer.button("›").click()
    assert places(explorer) != spots


def test_opacity_acts_at_once(explorer):
    slider = explorer.page.locator(".concept-explorer input")
    slider.fill("0")
    picture = explorer.drawn()
    slider.fill("1")
    assert (np.abs(explorer.drawn() - picture).max(2) > 10).mean() > 0.9
    slider.fill("0")
    assert (explorer.drawn() == picture).all()
    exported = str(explorer.editor.exported())
    assert "opacity" not in exported.split("ConceptAttentionExplorer")[0][-400:] and "concept_explorer" not in exported


def state_of(explorer):
    explorer.wait()
    return explorer.widget("pinned"), explorer.widget("threshold"), explorer.pinned(), explorer.drawn().tolist()


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
    pins = [explorer.widget("pinned")]
    explorer.row("star").locator(".name").click()
    explorer.page.wait_for_timeout(300)
    pins.append(explorer.widget("pinned"))
    assert pins == ["grass", "star"]
    explorer.editor.run_command("Comfy.Undo")
    explorer.page.wait_for_timeout(500)
    assert state_of(explorer)[::2][0] == "grass" and explorer.pinned() == ["grass"]
    explorer.editor.run_command("Comfy.Redo")
    explorer.page.wait_for_timeout(500)
    assert state_of(explorer)[0] == "star" and explorer.pinned() == ["star"]


def test_undo_across_a_run_keeps_the_maps(explorer):
    explorer.row("star").locator(".name").click()
    explorer.run()
    before = explorer.editor.serialized()
    explorer.run()
    assert explorer.editor.serialized() == before  # a run is no change of the workflow
    explorer.editor.run_command("Comfy.Undo")
    explorer.page.wait_for_timeout(500)
    explorer.wait()
    assert explorer.pinned() == ["circle"]


def test_a_pin_that_another_node_gives(explorer):
    explorer.page.evaluate(
        f"""() => {{
            const text = LiteGraph.createNode('PrimitiveStringMultiline')
            app.graph.add(text)
            text.widgets[0].value = 'star'
            text.connect(0, {NODE}, {NODE}.findInputSlot('pinned'))
        }}"""
    )
    explorer.run()
    explorer.page.wait_for_function("document.querySelector('.concept-explorer li.pinned .name')?.textContent === 'star'")
    explorer.row("square").locator(".name").click()
    assert explorer.pinned() == ["star"]
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
    explorer.page.evaluate("() => { window.queued = 0; app.queuePrompt = () => { window.queued++; return true } }")
    explorer.page.keyboard.press("Control+Enter")
    explorer.page.wait_for_timeout(500)
    assert explorer.widget("pinned") == "star"
    assert explorer.page.evaluate("window.queued") == 1


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


def test_in_the_other_rendering_of_nodes(editor, workflow):
    editor.page.evaluate("() => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', true)")
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
    explorer.page.wait_for_function("document.querySelector('.concept-explorer li.pinned .name').textContent === 'star'")
    editor.screenshot("other rendering")


@pytest.mark.parametrize("editor", [{"has_touch": True}], indirect=True)
def test_fingers(explorer):
    spots = places(explorer)
    name = next(name for name in spots if name != "circle")
    explorer.page.touchscreen.tap(*explorer.at(*spots[name]))
    assert explorer.widget("pinned") == name and explorer.ranked()[0][0] == name


@pytest.mark.parametrize("editor", [{"locale": "en"}], indirect=True)
def test_in_chinese(editor, workflow):
    editor.start(**{"Comfy.Locale": "zh"})
    explorer = Explorer(editor, workflow)
    explorer.run()
    assert explorer.button("热力图").is_visible()
    editor.screenshot("chinese")
