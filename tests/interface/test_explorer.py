"""Concept Explorer in the real interface: what is drawn and said when the mouse, the keys and fingers ask."""

import numpy as np
import pytest
from editor import BOTH_RENDERINGS
from explorer_panel import CONCEPTS, NODE, made_by, masked, places
from PIL import Image


def test_resting_on_the_picture_ranks_the_concepts(explorer):
    spots = places(explorer)
    explorer.page.mouse.move(5, 500)
    listed = explorer.ranked()
    caption = explorer.page.locator(".concept-explorer .caption")
    assert [name for name, _ in listed] == CONCEPTS and caption.inner_text() == "Presence in this picture"
    for name, spot in spots.items():
        explorer.page.mouse.move(*explorer.at(*spot))
        ranked = explorer.ranked()
        assert ranked[0][0] == name and ranked[0][1] > 50 and caption.inner_text() == "Share here"
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
    explorer.page.locator(".concept-explorer label input").fill("1")
    for name, (across, down) in spots.items():
        explorer.row(name).hover()
        assert explorer.seen() == [name]
        drawn = explorer.drawn()
        bright = drawn[int(down * len(drawn)), int(across * drawn.shape[1])].sum()
        elsewhere = [drawn[int(y * len(drawn)), int(x * drawn.shape[1])].sum() for other, (x, y) in spots.items() if other != name]
        assert bright > max(elsewhere) + 100, name
        grey = [np.ptp(drawn[int(y * len(drawn)), int(x * drawn.shape[1])]) for other, (x, y) in spots.items() if other != name]
        assert max(grey) < 100  # low values are clear, and what is below has no colour
    explorer.page.mouse.move(5, 500)
    assert explorer.seen() == ["circle"]


def test_resting_on_a_concept_dims_the_other_segments(explorer):
    spots = places(explorer)
    explorer.button("Segments").click()
    before = explorer.drawn()
    explorer.row("grass").hover()
    changed = (explorer.drawn() != before).any(2)
    for name, (across, down) in spots.items():
        assert changed[int(down * len(changed)), int(across * changed.shape[1])] == (name != "grass")


def test_the_picture_alone_while_a_key_is_held(explorer):
    explorer.row("circle").click()
    covered = explorer.drawn()
    explorer.page.keyboard.down("o")
    alone = explorer.drawn()
    explorer.page.keyboard.up("o")
    assert (explorer.drawn() == covered).all()
    explorer.page.locator(".concept-explorer label input").fill("0")
    assert (explorer.drawn() == alone).all() and (alone != covered).any()


def test_picture_and_numbers_can_be_taken_along(explorer):
    explorer.editor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    explorer.action("Copy the numbers").click()
    first, *pictures = explorer.page.evaluate("() => navigator.clipboard.readText()").split("\n")
    assert first.split("\t") == ["", *CONCEPTS] and len(pictures) == 2
    assert all(0 <= float(presence) <= 1 for presence in pictures[1].split("\t")[1:])
    with explorer.page.expect_download() as download:
        explorer.action("Save the picture").click()
    saved = Image.open(download.value.path())
    assert saved.size == (512, 2 * 192 + 4 * 24 + 24)
    explorer.action("Copy the picture").click()
    explorer.page.wait_for_function("async () => (await navigator.clipboard.read())[0].types.includes('image/png')")
    menu = explorer.page.evaluate(f"() => app.canvas.getNodeMenuOptions({NODE}).map((option) => option?.content)")
    assert "Copy the numbers, for a spreadsheet" in menu and not explorer.notes()
    explorer.editor.context.clear_permissions()


def mask_of_loader(explorer):
    """What the Load Image node in the graph gives to others."""
    explorer.page.evaluate(
        """() => {
            const find = (type) => app.graph.nodes.find((node) => node.type === type)
            find('LoadImage').connect(1, find('MaskPreview'), 0)
        }"""
    )
    explorer.run()
    (given,) = made_by(explorer, "MaskPreview")
    return given


@BOTH_RENDERINGS
def test_the_mask_opens_in_the_mask_editor_and_what_is_painted_stays(explorer):
    explorer.row("star").locator(".name").click()
    drawn = masked(explorer)
    open_editor = explorer.action("Open the selected mask")
    dialog = explorer.page.get_by_role("dialog").filter(has_text="Mask Editor")
    open_editor.click()
    save(dialog)
    assert np.array_equal(mask_of_loader(explorer), drawn)
    open_editor.click()
    canvas = dialog.locator("canvas").nth(2)
    explorer.page.wait_for_timeout(1000)
    box = canvas.bounding_box()
    explorer.editor.screenshot("mask editor")
    explorer.page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    explorer.page.mouse.down()
    explorer.page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.2 * box["height"], steps=5)
    explorer.page.mouse.up()
    save(dialog)
    explorer.run()
    (painted,) = made_by(explorer, "MaskPreview")
    assert painted[drawn].all() and painted.sum() > drawn.sum() + 20
    explorer.row("grass").locator(".name").click()
    open_editor.click()
    save(dialog)
    explorer.run()
    (other,) = made_by(explorer, "MaskPreview")
    assert np.array_equal(other, masked(explorer)) and explorer.page.evaluate(LOADERS) == 1


LOADERS = "() => app.graph.nodes.filter((node) => node.type === 'LoadImage').length"


def save(dialog):
    dialog.page.wait_for_function("document.querySelector('[role=dialog] canvas')?.width === 256")  # the picture is there
    dialog.page.wait_for_timeout(500)
    dialog.get_by_text("Save", exact=True).click(timeout=20000)
    dialog.wait_for(state="hidden")


@BOTH_RENDERINGS
def test_the_mask_can_be_dragged_into_the_graph(explorer):
    explorer.row("star").locator(".name").click()
    drawn = masked(explorer)
    drag_to(explorer, 1250, 860)
    explorer.page.wait_for_function(f"({LOADED})().length === 1")
    assert np.array_equal(mask_of_loader(explorer), drawn)
    (name,) = explorer.page.evaluate(LOADED)
    assert name == "star_mask.png"
    explorer.editor.screenshot("dragged")
    explorer.row("grass").locator(".name").click()
    drag_to(explorer, 1300, 900)  # onto the node that is there now
    explorer.page.wait_for_function(f"({LOADED})()[0] === 'grass_mask.png'")
    explorer.run()
    (given,) = made_by(explorer, "MaskPreview")
    assert np.array_equal(given, masked(explorer)) and explorer.page.evaluate(LOADERS) == 1
    before = explorer.page.evaluate(f"() => [...{NODE}.pos]")
    drag_to(explorer, *explorer.at(0.5, 0.5))  # back onto the panel
    explorer.page.wait_for_timeout(500)
    assert explorer.page.evaluate(LOADERS) == 1 and explorer.page.evaluate(f"() => [...{NODE}.pos]") == before


LOADED = """() => app.graph.nodes
    .filter((node) => node.type === 'LoadImage')
    .map((node) => node.widgets[0].value)
    .filter((name) => name.endsWith('_mask.png'))"""


def drag_to(explorer, x, y):
    explorer.action("Save the selected mask").hover()
    explorer.page.mouse.down()
    explorer.page.mouse.move(x - 40, y - 40, steps=5)
    explorer.page.mouse.move(x, y, steps=5)
    explorer.page.mouse.up()


def test_the_mask_is_a_file_too(explorer):
    explorer.row("star").locator(".name").click()
    save_mask = explorer.action("Save the selected mask")
    with explorer.page.expect_download() as download:
        save_mask.click()
    saved = Image.open(download.value.path())
    assert download.value.suggested_filename == "star_mask.png" and set(np.unique(saved.convert("L"))) == {0, 255}
    assert np.array_equal(np.asarray(saved.convert("L")) > 127, masked(explorer))
    dragged = save_mask.evaluate(
        """async (button) => {
            const dataTransfer = new DataTransfer()
            button.dispatchEvent(new DragEvent('dragstart', { dataTransfer, bubbles: true }))
            const [type, name, ...address] = dataTransfer.getData('DownloadURL').split(':')
            return [type, name, [...new Uint8Array(await (await fetch(address.join(':'))).arrayBuffer())]]
        }"""
    )
    assert dragged == ["image/png", "star_mask.png", list(download.value.path().read_bytes())]
    explorer.set_widget("pinned", "")
    save_mask.click()
    assert explorer.notes()[-1] == ["hint", "Select a concept first: click on it in the picture or in the list."]


def test_two_concepts_side_by_side(explorer):
    spots = places(explorer)
    explorer.row("star").locator(".name").click()
    explorer.page.mouse.move(5, 500)
    alone = explorer.drawn()
    explorer.action("Two concepts").click()
    explorer.page.mouse.move(5, 500)
    labels = explorer.page.locator(".concept-explorer .label")
    assert labels.all_inner_texts() == ["star", "grass"] and explorer.seen() == ["star", "grass"]
    left, right = (explorer.page.locator(".concept-explorer canvas").nth(at) for at in (0, 1))
    assert (explorer.drawn(left) == alone).all()
    first, second = left.bounding_box(), right.bounding_box()
    assert first["y"] + first["height"] < second["y"]  # where that is larger
    explorer.page.evaluate(f"() => {NODE}.setSize([800, 600])")
    explorer.center()
    first, second = left.bounding_box(), right.bounding_box()
    assert first["x"] + first["width"] < second["x"] and first["width"] > 350
    for name in ("circle", "square"):
        explorer.row(name).hover()
        assert labels.all_inner_texts() == ["star", name] and (explorer.drawn(left) == alone).all()
        beside = explorer.drawn(right)
        across, down = spots[name]
        at = int(down * len(beside)), int(across * beside.shape[1])
        assert beside[at].sum() > alone[at].sum() + 100
    across, down = spots["square"]
    for canvas in (left, right):
        box = canvas.bounding_box()
        explorer.page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        markers = explorer.page.locator(".concept-explorer .marker")
        assert explorer.ranked()[0][0] == "square" and markers.count() == 2
        for marker, picture in zip(markers.all(), (left, right)):
            mark, picture = marker.bounding_box(), picture.bounding_box()
            assert mark["x"] + mark["width"] / 2 == pytest.approx(picture["x"] + across * picture["width"], abs=2)
            assert mark["y"] + mark["height"] / 2 == pytest.approx(picture["y"] + down * picture["height"], abs=2)
    explorer.editor.screenshot("side by side")
    with explorer.page.expect_download() as download:
        explorer.action("Save the picture").click()
    assert Image.open(download.value.path()).size == (2 * 512 + 12, 2 * 192 + 4 * 24 + 24)
    explorer.row("circle").locator(".name").click(modifiers=["Shift"])
    explorer.page.mouse.move(5, 500)
    assert labels.all_inner_texts() == ["star", "circle"]


def test_two_concepts_side_by_side_by_keys(explorer):
    explorer.row("square").locator(".name").click()
    explorer.page.mouse.move(5, 500)
    explorer.page.keyboard.press("c")
    labels = explorer.page.locator(".concept-explorer .label")
    beside = [labels.nth(1).inner_text()]
    for key in ["ArrowRight"] * 4 + ["ArrowLeft"] * 4:
        explorer.page.keyboard.press(key)
        beside.append(labels.nth(1).inner_text())
    assert beside == ["star", "grass", "circle", "star", "grass", "star", "circle", "grass", "star"]
    assert labels.nth(0).inner_text() == "square"
    explorer.page.keyboard.press("Enter")
    assert explorer.widget("pinned") == "star" == labels.nth(0).inner_text()
    saved = explorer.editor.serialized()
    explorer.editor.open(saved)
    explorer.wait()
    assert labels.count() == 2  # it is kept with the workflow
    explorer.page.locator(".concept-explorer").focus()
    explorer.page.keyboard.press("c")
    assert explorer.page.locator(".concept-explorer canvas").count() == 1 and explorer.seen() == ["star"]


def test_clicks_select(explorer):
    spots = places(explorer)
    name, other = [name for name in spots if name != "circle"][:2]
    for _ in range(2):  # again changes nothing
        explorer.page.mouse.click(*explorer.at(*spots[name]))
        assert explorer.widget("pinned") == name and explorer.selected() == [name]
    explorer.row(other).locator(".name").click(modifiers=["Shift"])
    assert explorer.widget("pinned") == f"{name} + {other}" and set(explorer.selected()) == {name, other}
    explorer.row(name).locator("button").click()
    explorer.row(other).locator(".name").click()
    assert explorer.widget("pinned") == other and not explorer.notes()
    explorer.row(other).locator("button").click()
    assert explorer.widget("pinned") == "" and explorer.selected() == []
    assert explorer.notes() == [["warning", "Nothing is selected: the mask that comes out is empty."]]
    exported = explorer.editor.exported()
    (inputs,) = (node["inputs"] for node in exported.values() if node["class_type"] == "ConceptAttentionExplorer")
    assert inputs.keys() == {"maps", "image", "pinned", "threshold"} and inputs["pinned"] == ""


def test_a_drag_over_the_picture_is_no_click(explorer):
    spots = places(explorer)
    explorer.page.mouse.move(*explorer.at(*spots["grass"]))
    explorer.page.mouse.down()
    explorer.page.mouse.move(*explorer.at(0.5, 0.5), steps=4)
    explorer.page.mouse.up()
    assert explorer.widget("pinned") == "circle"


def test_names_that_are_not_there_are_left_out_and_named(explorer):
    explorer.set_widget("pinned", "Circle + cat, dog")
    assert explorer.selected() == ["circle"]
    assert explorer.notes() == [["warning", "Not among the concepts, and left out of the mask: cat, dog."]]
    explorer.run()
    assert explorer.selected() == ["circle"] and made_by(explorer, "ConceptAttentionMask")
    explorer.set_widget("pinned", "cat")
    explorer.run()
    assert [kind for kind, _ in explorer.notes()] == ["warning", "warning"]
    assert not np.any(made_by(explorer, "MaskPreview")) and not np.any(made_by(explorer, "ConceptAttentionMask"))
    told = explorer.page.locator(".concept-told")
    assert told.inner_text() == "no concept is named, so the mask is empty."
    explorer.editor.screenshot("nothing known")
    explorer.set_widget("pinned", "circle")
    explorer.run()
    assert told.is_hidden()


@pytest.mark.parametrize("text", ["star", "circle + star", "circle, star"])
def test_the_mask_that_is_drawn_comes_out_of_both_nodes(explorer, text):
    explorer.editor.page.evaluate(
        """() => {
            const mask = app.graph.nodes.find((node) => node.type === 'ConceptAttentionMask')
            mask.widgets.find((widget) => widget.name === 'method').value = 'threshold'
        }"""
    )
    explorer.set_widget("pinned", text)
    explorer.button("Mask").click()
    explorer.page.locator(".concept-explorer label input").fill("1")
    count = 1 + text.count(",")
    shares = []
    for threshold in (0.3, 0.6):
        explorer.set_widget("threshold", threshold)
        explorer.page.evaluate(
            """(threshold) => {
                const mask = app.graph.nodes.find((node) => node.type === 'ConceptAttentionMask')
                mask.widgets.find((widget) => widget.name === 'threshold').value = threshold
            }""",
            threshold,
        )
        drawn = (explorer.drawn() != [12, 12, 16]).any(2)
        shares.append(drawn.mean())
        explorer.run()
        ours, theirs = made_by(explorer, "MaskPreview"), made_by(explorer, "ConceptAttentionMask")
        assert len(ours) == len(theirs) == 2 * count and np.array_equal(ours, theirs)
        assert (np.any(ours[:count], 0) != drawn).mean() < 0.0005
        assert ((explorer.drawn() != [12, 12, 16]).any(2) == drawn).all()
    assert shares[0] >= shares[1] > 0.01
    explorer.editor.screenshot("mask")


def test_keys(explorer):
    explorer.row("circle").click()
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
    slider = explorer.page.locator(".concept-explorer label input")
    slider.fill("0")
    picture = explorer.drawn()
    slider.fill("1")
    assert (np.abs(explorer.drawn() - picture).max(2) > 10).mean() > 0.9
    slider.fill("0")
    assert (explorer.drawn() == picture).all()
    exported = str(explorer.editor.exported())
    assert "opacity" not in exported.split("ConceptAttentionExplorer")[0][-400:] and "concept_explorer" not in exported
