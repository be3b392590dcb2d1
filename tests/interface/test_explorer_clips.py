"""Concept Explorer with the maps of a clip: a square that moves to the right, of three latent frames and nine frames."""

import numpy as np
import pytest
import torch
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.storage.files import save_maps
from explorer_panel import NODE, Explorer

ROWS, COLUMNS, FRAMES = 4, 9, 9


def moving() -> Maps:
    values = torch.full((3, 2, ROWS, COLUMNS), 0.05)
    for frame in range(3):
        values[frame, 0, 1:3, 3 * frame : 3 * frame + 3] = 0.95 if frame else 0.6
    values[:, 1] = 1 - values[:, 0]
    return Maps(values, ("square", "ground"), 2, True, (16 * ROWS, 16 * COLUMNS), 16, frames_per_latent=4)


@pytest.fixture
def explorer(editor, live):
    save_maps(moving(), live.base / "input" / "clip.safetensors")
    editor.page.evaluate(
        """async () => {
            app.graph.clear()
            const [load, explorer] = ['ConceptAttentionLoadMaps', 'ConceptAttentionExplorer'].map((type) => LiteGraph.createNode(type))
            for (const node of [load, explorer]) app.graph.add(node)
            explorer.pos = [400, 50]
            const file = load.widgets.find((widget) => widget.name === 'file')
            file.options.values = ['clip.safetensors']
            file.value = 'clip.safetensors'
            load.connect(0, explorer, 0)
        }"""
    )
    explorer = Explorer(editor)
    explorer.run()
    explorer.center()
    return explorer


def middle(explorer):
    """Where the square is, across, in 0..1: the centre of what is bright in its heatmap."""
    bright = explorer.drawn().sum(2).astype(float)
    bright = np.where(bright > bright.max() * 0.75, bright, 0)
    return float((bright.sum(0) * np.linspace(0, 1, bright.shape[1])).sum() / bright.sum())


def frame(explorer):
    return int(explorer.page.locator(".concept-explorer .clip input").input_value())


def kept(explorer):
    return explorer.page.evaluate(f"() => {NODE}.properties.concept_explorer?.picture ?? 0")


def test_the_slider_goes_through_the_frames(explorer):
    slider = explorer.page.locator(".concept-explorer .clip input")
    places = []
    for number in (0, 4, 8):
        slider.fill(str(number))
        places.append(middle(explorer))
        assert frame(explorer) == kept(explorer) == number
    assert np.diff(places).min() > 0.2  # it moves to the right
    explorer.editor.screenshot("scrubbed")


def test_it_plays_and_keeps_where_it_stops(explorer):
    play = explorer.page.locator(".concept-explorer .clip button")
    play.click()
    explorer.page.wait_for_function("Number(document.querySelector('.concept-explorer .clip input').value) >= 3")
    assert kept(explorer) == 0  # nothing is written while it plays
    play.click()
    stopped = frame(explorer)
    explorer.page.wait_for_timeout(400)
    assert frame(explorer) == kept(explorer) == stopped


def test_keys(explorer):
    explorer.page.locator(".concept-explorer ol").focus()
    for _ in range(2):
        explorer.page.keyboard.press("ArrowDown")
    assert frame(explorer) == kept(explorer) == 2
    explorer.page.keyboard.press("p")
    explorer.page.wait_for_function("Number(document.querySelector('.concept-explorer .clip input').value) > 3")
    explorer.page.keyboard.press("p")
    stopped = frame(explorer)
    explorer.page.wait_for_timeout(300)
    assert frame(explorer) == stopped


def test_presence_over_the_frames_is_a_curve(explorer):
    lines = explorer.page.locator(".concept-explorer .curves polyline")
    points = [[float(part) for part in point.split(",")] for point in lines.first.get_attribute("points").split()]
    assert lines.count() == 2 and len(points) == FRAMES and [across for across, _ in points] == list(range(FRAMES))
    heights = [1 - down for _, down in points]
    assert heights[0] == pytest.approx(0.6, abs=0.02) and heights[-1] == pytest.approx(0.95, abs=0.02)
    assert explorer.page.locator(".concept-explorer .caption span").inner_text() == "Presence in this frame"
    explorer.row("ground").hover()
    assert lines.nth(1).evaluate("(line) => line.classList.contains('seen')")


def test_the_bar_is_hidden_for_pictures(explorer, live):
    still = moving()
    save_maps(Maps(still.values[:1], still.names, 2, True, still.image_size, 16), live.base / "input" / "clip.safetensors")
    explorer.run()
    explorer.page.wait_for_function("document.querySelector('.concept-explorer .clip').hidden")
