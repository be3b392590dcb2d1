import os

import browser
import pytest
from editor import Editor
from environment import HOME

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


@pytest.fixture
def editor(chromium, live, request):
    """ComfyUI's interface in a new browser profile. Fails where our files bring an error, or anything asks beyond the server."""
    context = chromium.new_context(viewport={"width": 1500, "height": 1000}, **getattr(request, "param", {}))
    editor = Editor(context, live.address, HOME / "screenshots" / request.node.name)
    editor.start()
    yield editor
    editor.screenshot("end")
    foreign = editor.asked_by_us()
    context.close()
    assert not editor.errors and not foreign, (editor.errors, foreign)
