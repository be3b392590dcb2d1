"""The example workflows as a user meets them: in the template browser, and opened."""

import json

from comfy_server import ROOT

EXAMPLES = sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))


def exported(name):
    return json.loads((ROOT / "tests" / "live" / "exported" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_workflow_opens_and_is_exported_as_committed(editor, live):
    for name in EXAMPLES:
        editor.open(live.workflow_file(name))
        editor.page.wait_for_timeout(300)
        assert editor.exported() == exported(name), name
        if name.endswith("_demo"):
            assert editor.dialogs() == [], name


def test_the_template_browser_shows_them_with_their_pictures_and_opens_one(editor):
    editor.run_command("Comfy.BrowseTemplates")
    dialog = editor.page.locator("[role=dialog]").first
    dialog.get_by_text("concept-attention", exact=False).first.click()
    for name in EXAMPLES:
        title = dialog.get_by_text(name, exact=True).first
        title.scroll_into_view_if_needed()
        title.wait_for()
    editor.page.wait_for_timeout(1000)
    widths = dialog.locator("img").evaluate_all("(images) => images.map((image) => image.naturalWidth)")
    assert len(widths) >= 4 and min(widths) > 0
    editor.screenshot("templates")
    title = dialog.get_by_text("concept_explorer_demo", exact=True).first
    title.scroll_into_view_if_needed()
    title.click()
    editor.page.wait_for_function("app.graph.nodes.some((node) => node.type === 'ConceptAttentionExplorer')")
    editor.page.wait_for_timeout(500)
    assert editor.dialogs() == []


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
    editor.screenshot("blueprint")
