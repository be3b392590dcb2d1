"""Concept Explorer shows the prompt: each concept in its colour, the fainter the less of it is there; hover, click, open again."""

import re

import numpy as np
import pytest
from editor import BOTH_RENDERINGS
from explorer_panel import Explorer

NAME = "36 Explain my prompt (demo)"


@pytest.fixture
def explorer(editor, live):
    explorer = Explorer(editor, live.workflow_file(NAME))
    explorer.run()
    return explorer


def words(explorer):
    """[(text, part of its colour in 0..1, whether it is marked as absent)] of the prompt's coloured words."""
    found = explorer.page.locator(".concept-explorer .prompt span").evaluate_all(
        "(spans) => spans.map((span) => [span.textContent, getComputedStyle(span).backgroundColor, span.classList.contains('absent')])"
    )
    return [(text, float(colour.split(",")[3][:-1]) if colour.startswith("rgba") else 1.0, absent) for text, colour, absent in found]


@BOTH_RENDERINGS
def test_the_prompt_tells_what_is_there(explorer, live):
    (text,) = (node["widgets_values"][0] for node in live.workflow_file(NAME)["nodes"] if node["type"] == "PrimitiveStringMultiline")
    line = explorer.page.locator(".concept-explorer .prompt")
    assert line.inner_text() == text
    explorer.page.mouse.move(5, 500)
    listed = explorer.ranked()
    assert [re.sub(r"[()]|:[\d.]+", "", word) for word, _, _ in words(explorer)] == [name for name, _ in listed]
    pictures = []
    for _ in range(2):
        listed = explorer.ranked()
        for (_, part, absent), (_, presence) in zip(words(explorer), listed):
            assert part == pytest.approx(0.75 * presence / 100, abs=0.01) and absent == (presence < 10)
        pictures.append(words(explorer))
        explorer.button("›").click()
        explorer.page.mouse.move(5, 500)
    assert any(absent for picture in pictures for _, _, absent in picture)  # of what the model left out
    for place, (name, _) in enumerate(listed):
        explorer.row(name).hover()
        drawn = explorer.drawn()
        line.locator("span").nth(place).hover()
        assert explorer.seen() == [name] and np.array_equal(explorer.drawn(), drawn)
    explorer.editor.screenshot("prompt")
    line.locator("span").first.click()
    assert explorer.widget("pinned") == listed[0][0] == explorer.selected()[0]
    before, saved = words(explorer), explorer.editor.serialized()
    explorer.editor.open(saved)
    explorer.wait()
    assert words(explorer) == before and explorer.widget("pinned") == listed[0][0]


def test_without_a_prompt_there_is_no_line(editor, workflow):
    explorer = Explorer(editor, workflow)
    explorer.run()
    assert explorer.page.locator(".concept-explorer .prompt").is_hidden()
