import json
import os

import browser
import pytest
from editor import Editor
from environment import HOME
from explorer_panel import Explorer

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="session")
def chromium():
    found = browser.find()
    if found is None:
        pytest.skip("needs a Chromium: install one, name one in CHROMIUM, or install npm, from whose registry one is taken")
    from playwright.sync_api import sync_playwright

    program, variables = found
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS, env={**os.environ, **variables})
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def editors(chromium):
    """Those that are as they were after their start, by their options: to load the interface takes longer than most tests."""
    renewed: dict[str, Editor] = {}
    yield renewed
    for editor in renewed.values():
        editor.context.close()


@pytest.fixture
def editor(chromium, live, editors, request):
    """ComfyUI's interface as it is after its start, with some settings ("Comfy. …") and options of a browser's profile if they are given.

    Tests before this one may have used the page, if they passed and all was put back that they did in it. Fails where our files bring an
    error, or anything asks beyond the server. A test of what a page stores has the mark new_page.
    """
    options = getattr(request, "param", {})
    kind = json.dumps(options, sort_keys=True)
    is_new = request.node.get_closest_marker("new_page") is not None
    editor = None if is_new else editors.pop(kind, None)
    if editor:
        editor.take_up()
    else:
        editor = opened(chromium, live, options)
    editor.screenshots = HOME / "screenshots" / request.node.name
    failed = request.session.testsfailed
    yield editor
    editor.screenshot("end")
    foreign, passed = editor.asked_by_us(), request.session.testsfailed == failed
    if not is_new and passed and not editor.errors and not foreign and editor.renew():
        editors[kind] = editor
    else:
        editor.context.close()
    assert not editor.errors and not foreign, (editor.errors, foreign)


def opened(chromium, live, options) -> Editor:
    settings = {name: value for name, value in options.items() if name.startswith("Comfy.")}
    profile = {name: value for name, value in options.items() if name not in settings}
    context = chromium.new_context(viewport={"width": 1500, "height": 1000}, **profile)
    editor = Editor(context, live.address, live.base / "user" / "default" / "comfy.settings.json")
    editor.start(**settings)
    return editor


@pytest.fixture(scope="module")
def workflow(live):
    made = live.workflow_file("01 Explore concepts (demo)")
    (latent,) = (node for node in made["nodes"] if node["type"] == "EmptySD3LatentImage")
    latent["widgets_values"] = [256, 192, 2]
    (sampler,) = (node for node in made["nodes"] if node["type"] == "KSampler")
    sampler["widgets_values"][2] = 8  # steps
    return with_preview_of_its_mask(made)


def with_preview_of_its_mask(workflow):
    """So that the mask that comes out can be seen."""
    (explorer,) = (node for node in workflow["nodes"] if node["type"] == "ConceptAttentionExplorer")
    node, link = max(node["id"] for node in workflow["nodes"]) + 1, max(link[0] for link in workflow["links"]) + 1
    explorer["outputs"][0]["links"] = [link]
    workflow["links"].append([link, explorer["id"], 0, node, 0, "MASK"])
    inputs, outputs = [{"name": "mask", "type": "MASK", "link": link}], [{"name": "mask", "type": "MASK", "links": None}]
    place = {"pos": [1324, 760], "size": [280, 300], "flags": {}, "order": 99, "mode": 0, "properties": {}}
    workflow["nodes"].append({"id": node, "type": "MaskPreview", **place, "inputs": inputs, "outputs": outputs})
    return workflow


@pytest.fixture
def explorer(editor, workflow, live):
    explorer = Explorer(editor, workflow)
    explorer.temporary = live.base / "temp"
    explorer.run()
    return explorer
