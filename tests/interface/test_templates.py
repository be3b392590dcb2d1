"""The example workflows as a user meets them: in the template browser, and opened."""

import itertools
import json

from comfy_server import ROOT
from editor import BOTH_RENDERINGS

EXAMPLES = sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))


def exported(name):
    return json.loads((ROOT / "tests" / "live" / "exported" / f"{name}.json").read_text(encoding="utf-8"))


def is_demo(name):
    return name.endswith("(demo)")


LARGEST = 1700, 900
LEGIBLE = 0.6  # below this scale the classic rendering draws no text
BOXES = """() => {
    const onCanvas = ({ x, y, width, height }) => {
        const { canvas, ds } = app.canvas
        const origin = canvas.getBoundingClientRect()
        return [(x - origin.x) / ds.scale - ds.offset[0], (y - origin.y) / ds.scale - ds.offset[1], width / ds.scale, height / ds.scale]
    }
    app.canvas.draw(true, true)
    return app.graph.nodes.map((node) => {
        const element = document.querySelector(`[data-node-id="${node.id}"]`)
        return [node.title, LiteGraph.vueNodesMode ? onCanvas(element.getBoundingClientRect()) : [...node.boundingRect]]
    })
}"""


@BOTH_RENDERINGS
def test_a_template_opens_legibly_with_its_nodes_beside_one_another_and_is_exported_as_committed(editor, live):
    for name in EXAMPLES:
        workflow = live.workflow_file(name)
        workflow["extra"].pop("linearMode", None)  # the graph of an app
        editor.open_template(workflow, name)
        assert editor.page.evaluate("app.canvas.ds.scale") > LEGIBLE, name
        assert editor.exported() == exported(name), name
        if is_demo(name):
            assert editor.dialogs() == [], name
        boxes = editor.page.evaluate(BOXES)
        for (one, here), (other, there) in itertools.combinations(boxes, 2):
            assert not overlap(here, there), (name, one, other)
        for (title, box), (group, area) in itertools.product(boxes, groups(workflow)):
            assert not overlap(box, area) or inside(box, area), (name, title, group)
        for place, largest in enumerate(LARGEST):
            spans = [(box[place], box[place] + box[place + 2]) for _, box in [*boxes, *groups(workflow)]]
            assert max(end for _, end in spans) - min(start for start, _ in spans) <= largest, name


def groups(workflow):
    return [(group["title"], group["bounding"]) for group in workflow["groups"]]


def inside(box, area):
    return all(area[at] <= box[at] and box[at] + box[at + 2] <= area[at] + area[at + 2] for at in (0, 1))


def overlap(here, there, touching=1):
    return all(here[at] + here[at + 2] > there[at] + touching and there[at] + there[at + 2] > here[at] + touching for at in (0, 1))


def test_the_template_browser_shows_them_with_their_pictures_and_opens_one(editor):
    editor.run_command("Comfy.BrowseTemplates")
    dialog = editor.page.locator("[role=dialog]").first
    dialog.get_by_text("concept-attention", exact=False).first.click()
    dialog.get_by_text(EXAMPLES[0], exact=True).first.wait_for()
    listed, before = names_in(dialog), None
    while listed != before:  # more come at the end of the list
        dialog.get_by_text(listed[-1], exact=True).first.scroll_into_view_if_needed()
        editor.page.wait_for_timeout(1000)
        listed, before = names_in(dialog), listed
    assert listed == EXAMPLES
    for name in EXAMPLES:
        title = dialog.get_by_text(name, exact=True).first
        title.scroll_into_view_if_needed()
        title.wait_for()
    editor.page.wait_for_timeout(1000)
    widths = dialog.locator("img").evaluate_all("(images) => images.map((image) => image.naturalWidth)")
    assert len(widths) >= 4 and min(widths) > 0
    editor.screenshot("templates")
    title = dialog.get_by_text("01 Explore concepts (demo)", exact=True).first
    title.scroll_into_view_if_needed()
    title.click()
    editor.page.wait_for_function("app.graph.nodes.some((node) => node.type === 'ConceptAttentionExplorer')")
    editor.page.wait_for_timeout(500)
    assert editor.dialogs() == []


def names_in(dialog):
    return list(dict.fromkeys(line for line in dialog.inner_text().splitlines() if line in EXAMPLES))


def test_each_has_a_note_in_the_graph(live):
    for name in EXAMPLES:
        assert any(node["type"] == "MarkdownNote" for node in live.workflow_file(name)["nodes"]), name


BLUEPRINT = "Concept masks from a prompt"


def test_the_subgraph_blueprint_is_offered_and_runs(editor, live):
    offered = live.do(lambda client: client.get("/global_subgraphs"))
    assert [entry["info"]["node_pack"] for entry in offered.values() if entry["name"] == BLUEPRINT] == ["custom_nodes.concept-attention"]
    editor.open(json.loads((ROOT / "subgraphs" / f"{BLUEPRINT}.json").read_text(encoding="utf-8")))
    editor.page.evaluate(
        """() => {
            const [masks] = app.graph.nodes
            const add = (type) => {
                const node = LiteGraph.createNode(type)
                app.graph.add(node)
                return node
            }
            const demo = add('ConceptAttentionDemoModel')
            for (const [slot, name] of ['model', 'clip', 'vae'].entries()) demo.connect(slot, masks, masks.findInputSlot(name))
            const latent = add('EmptySD3LatentImage')
            latent.widgets[0].value = latent.widgets[1].value = 256
            latent.connect(0, masks, masks.findInputSlot('latent_image'))
            masks.connect(1, add('MaskPreview'), 0)
            for (const [name, value] of [['concepts', 'circle, grass'], ['steps', 4], ['cfg', 2], ['seed', 9]])
                masks.widgets.find((widget) => widget.name === name).value = value
        }"""
    )
    editor.queue()
    exported = editor.exported().values()
    (encode,) = (node["inputs"] for node in exported if node["class_type"] == "ConceptAttentionEncodeConcepts")
    (sampler,) = (node["inputs"] for node in exported if node["class_type"] == "KSampler")
    assert encode["concepts"] == "circle, grass" and (sampler["steps"], sampler["cfg"]) == (4, 2)
    assert sampler["seed"] == 9  # the next queue samples nothing again
    assert editor.page.evaluate("() => app.graph.nodes[0].widgets.map((widget) => widget.label ?? widget.name)").count("masks of") == 1
    editor.screenshot("blueprint")
