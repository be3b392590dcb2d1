"""Every node as it is rendered, and its help page as the interface shows it; the Explorer's pictures in the README and on its template."""

import io
import json

import node_texts
import pytest
from editor import AS_ELEMENTS, RENDERINGS
from explorer_panel import NODE, Explorer, places
from PIL import Image
from previews import GAP, GROUND, squared
from translated import COMFYUI

BARE = {"PromptWords", "Region", "Lock", "Guidance", "DemoLora", "LoadMaps", "SaveRecording", "LoadRecording"}
SHOWN = {"Heatmap": "example_workflows/03 Heatmaps (demo).jpg", "DemoPicture": "demo_model/scene.png"}  # of nodes that show nothing
SOURCES = [
    "01 Explore concepts (demo)",
    "05 All concepts at once (demo)",
    "06 Masks for a photo (demo)",
    "03 Heatmaps (demo)",
    "25 Repaint one of several (demo)",
    "36 Explain my prompt (demo)",
    "37 Pick the best of a batch (demo)",
    "38 Repaint several things in one go (demo)",
]
WIDEST = 900
FIRST = "01 Explore concepts (demo)"
EXPLAINED = "36 Explain my prompt (demo)"


def open_help(editor, name, title, language):
    """Of a new node: the page that is shown, once its last section and its picture are there."""
    node = editor.only(name)
    editor.center(node)
    editor.click_title(node)
    editor.page.locator("[data-testid=info-button]").click()
    page = editor.page.locator(".node-help-content")
    page.locator("h1", has_text=title).first.wait_for()
    page.get_by_text(node_texts.LANGUAGES[language].sections[-1], exact=True).wait_for()
    editor.page.wait_for_function("[...document.querySelectorAll('.node-help-content img')].some((image) => image.naturalWidth > 0)")
    return page


def test_every_node_renders_with_its_help_page(editor, live):
    for name, about in node_texts.ours(live.declared).items():
        page = open_help(editor, name, about["display_name"], "en")
        cells = set(page.locator("td").all_inner_texts())
        for input_name, _, options in node_texts.inputs(about):
            assert input_name + " (optional)" * options["optional"] in cells, (name, input_name)
            assert options["tooltip"] in cells, (name, input_name)
    editor.screenshot("help")


@pytest.mark.parametrize(
    ("language", "editor"),
    [
        ("zh", {"Comfy.Locale": "zh"}),
        ("zh", {"Comfy.Locale": "zh", **AS_ELEMENTS}),
        ("ja", {"Comfy.Locale": "ja", **AS_ELEMENTS}),
        ("ko", {"Comfy.Locale": "ko", **AS_ELEMENTS}),
    ],
    indirect=["editor"],
    ids=[*(f"zh, {rendering}" for rendering in RENDERINGS), "ja", "ko"],
)
def test_names_are_translated(language, editor, live):
    told = json.loads((node_texts.LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))["ConceptAttentionDecode"]
    editor.open(live.workflow_file("03 Heatmaps (demo)"))
    node = "app.graph.nodes.find((node) => node.type === 'ConceptAttentionDecode')"
    assert editor.page.evaluate(f"() => {node}.title") == told["display_name"]
    label = editor.page.evaluate(f"() => {node}.widgets.find((widget) => widget.name === 'blocks').label")
    assert label == told["inputs"]["blocks"]["name"]
    if editor.page.evaluate("LiteGraph.vueNodesMode"):
        editor.center(editor.page.evaluate(f"() => {node}.id"))
        editor.page.get_by_text(told["display_name"]).first.wait_for()


@pytest.mark.parametrize("editor", [{"Comfy.Locale": "zh"}], indirect=True, ids=["zh"])
@pytest.mark.parametrize("name", ["ConceptAttentionMask", "ConceptAttentionDemoPicture"])
def test_help_is_translated(editor, name):
    said = node_texts.locale("zh")[name]
    page = open_help(editor, name, said["display_name"], "zh")
    cells = page.locator("td").all_inner_texts()
    texts = [text for group in ("inputs", "outputs") for text in said[group].values()]
    assert [cell for cell in cells if cell in {text["tooltip"] for text in texts}] == [text["tooltip"] for text in texts]
    editor.screenshot("help")


@pytest.mark.parametrize("editor", [{"Comfy.Locale": "zh"}], indirect=True, ids=["zh"])
def test_help_calls_other_nodes_as_the_interface_does(editor, live):
    """In the pages' prose."""
    declared = {about["display_name"]: name for name, about in live.declared.items()}
    wanted = {declared[english]: name for english, name in COMFYUI["zh"].items() if english in declared}
    assert len(wanted) > 10
    shown = editor.page.evaluate(
        "(names) => Object.fromEntries(names.map((name) => [name, LiteGraph.registered_node_types[name].title]))", list(wanted)
    )
    assert shown == wanted


@pytest.fixture
def asked_to_write(request):
    if not request.config.getoption("--write-pictures"):
        pytest.skip("--write-pictures was not given")


@pytest.mark.parametrize("editor", [AS_ELEMENTS], indirect=True)
def test_pictures(asked_to_write, editor, live):
    """With --write-pictures the pages' pictures are taken anew; else that they are there is asked elsewhere."""
    folder = node_texts.HELP / "pictures"
    folder.mkdir(exist_ok=True)
    wanted = {name.removeprefix("ConceptAttention") for name in node_texts.ours(live.declared)} - {"Explorer"}  # which has its own test
    for kind, picture in SHOWN.items():
        keep(Image.open(node_texts.ROOT / picture), folder / f"{kind}.jpg")
        wanted.discard(kind)
    for source in SOURCES:
        workflow = live.workflow_file(source)
        editor.open(workflow)
        editor.queue(300)
        editor.page.wait_for_timeout(2000)
        for node in workflow["nodes"]:
            kind = node["type"].removeprefix("ConceptAttention")
            if kind in wanted:
                take(editor, node["id"], folder / f"{kind}.jpg")
                wanted.discard(kind)
    assert wanted == BARE
    for kind in BARE:
        node = editor.only(f"ConceptAttention{kind}")
        take(editor, node, folder / f"{kind}.jpg")


@pytest.mark.parametrize("editor", [AS_ELEMENTS], indirect=True)
def test_the_pictures_of_the_explorer(asked_to_write, editor, live):
    """Heatmap, segments and mask, and the spots that the mouse rests on: README; the first of them: help page and the template's card."""
    explorer = Explorer(editor, live.workflow_file(FIRST))
    explorer.run()
    spots = places(explorer)
    node = editor.page.locator(f"[data-node-id='{editor.page.evaluate(f'() => {NODE}.id')}']").first
    nodes, panels = [], []
    for view, rests in (("Heatmap", "circle"), ("Segments", "square"), ("Mask", None)):
        explorer.button(view).click()
        editor.page.mouse.move(*(explorer.at(*spots[rests]) if rests else (5, 500)))
        nodes.append(shot(node))
        panels.append(shot(editor.page.locator(".concept-explorer")))
    sheet = Image.new("RGB", (sum(one.width + GAP for one in nodes) - GAP, nodes[0].height), GROUND)
    for place, one in enumerate(nodes):
        sheet.paste(one, (place * (one.width + GAP), 0))
    sheet.save(node_texts.ROOT / "docs" / "explorer.jpg", quality=85)
    keep(nodes[0], node_texts.HELP / "pictures" / "Explorer.jpg")
    squared(panels[0]).save(node_texts.ROOT / "example_workflows" / f"{FIRST}.jpg", quality=90)


FIRST_GRAPH = {  # node of the template: its place and size
    1: ([0, 0], [250, 130]),
    2: ([0, 180], [290, 150]),
    3: ([0, 380], [290, 100]),
    4: ([0, 530], [290, 130]),
    7: ([330, 0], [260, 120]),
    6: ([330, 290], [260, 260]),
    8: ([630, 0], [270, 540]),
    10: ([940, 0], [200, 60]),
    9: ([940, 140], [240, 80]),
    13: ([1220, 0], [330, 550]),
}


@pytest.mark.parametrize("editor", [AS_ELEMENTS], indirect=True)
def test_the_picture_of_the_first_graph(asked_to_write, editor, live):
    """README's, as one would lay it by hand."""
    workflow = live.workflow_file("03 Heatmaps (demo)")
    workflow["nodes"] = [node for node in workflow["nodes"] if node["id"] in FIRST_GRAPH]
    workflow["groups"] = []
    for node in workflow["nodes"]:
        place, node["size"] = FIRST_GRAPH[node["id"]]
        node.update(pos=place, flags={})
        node.pop("title", None)
        for output in node["outputs"]:
            kept = {link[0] for link in workflow["links"] if link[3] in FIRST_GRAPH}
            output["links"] = [link for link in output["links"] or [] if link in kept]
        if node["type"] == "CLIPTextEncode" and node["widgets_values"][0]:
            node["widgets_values"] = ["a red circle and a blue square on grass"]
    workflow["links"] = [link for link in workflow["links"] if link[3] in FIRST_GRAPH]
    editor.open(workflow)
    editor.page.evaluate("() => { app.canvas.ds.scale = 0.88; app.canvas.ds.offset = [70, 190]; app.canvas.draw(true, true) }")
    editor.queue(300)
    editor.page.wait_for_timeout(8000)  # until the interface no longer says that it ended
    boxes = [editor.page.locator(f"[data-node-id='{node}']").first.bounding_box() for node in FIRST_GRAPH]
    left, top = (min(box[at] for box in boxes) - 12 for at in "xy")
    right, bottom = (max(box[at] + box[size] for box in boxes) + 12 for at, size in (("x", "width"), ("y", "height")))
    shown = editor.page.screenshot(clip={"x": left, "y": top, "width": right - left, "height": bottom - top})
    Image.open(io.BytesIO(shown)).convert("RGB").save(node_texts.ROOT / "docs" / "first_graph.jpg", quality=85)


@pytest.mark.parametrize("editor", [AS_ELEMENTS], indirect=True)
def test_the_picture_of_the_prompt(asked_to_write, editor, live):
    """The panel with a prompt: its template's card."""
    explorer = Explorer(editor, live.workflow_file(EXPLAINED))
    explorer.run()
    explorer.page.locator(".concept-explorer .prompt span").first.hover()
    squared(shot(editor.page.locator(".concept-explorer"))).save(node_texts.ROOT / "example_workflows" / f"{EXPLAINED}.jpg", quality=90)


def shot(locator):
    return Image.open(io.BytesIO(locator.screenshot())).convert("RGB")


def take(editor, node_id, path):
    editor.center(node_id)
    editor.page.wait_for_timeout(500)
    shot = path.with_suffix(".png")
    editor.page.locator(f"[data-node-id='{node_id}']").first.screenshot(path=shot)
    keep(Image.open(shot), path)
    shot.unlink()


def keep(picture, path):
    picture = picture.convert("RGB")
    picture.thumbnail((WIDEST, WIDEST))
    picture.save(path, quality=85)
