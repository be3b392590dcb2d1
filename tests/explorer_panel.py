"""Concept Explorer in an open editor: what a test asks of it, and where to point."""

import base64
import re

import numpy as np
from PIL import Image

CONCEPTS = ["circle", "square", "star", "grass"]
NODE = "app.graph.nodes.find((node) => node.type === 'ConceptAttentionExplorer')"

# As text: a list of numbers takes a second on its way here.
PIXELS = """(canvas) => new Promise((resolve) => {
    const { width, height, data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    const reader = new FileReader()
    reader.onload = () => resolve([width, height, reader.result.split(',')[1]])
    reader.readAsDataURL(new Blob([data]))
})"""


class Explorer:
    def __init__(self, editor, workflow=None):
        """In a workflow, or in what is open."""
        self.editor, self.page = editor, editor.page
        if workflow is not None:
            editor.open(workflow)
        self.center()

    def center(self, scale=1.0):
        self.editor.center(self.page.evaluate(f"() => {NODE}.id"), scale)

    def run(self):
        self.editor.queue()
        self.wait()

    def wait(self):
        self.page.wait_for_selector(".concept-explorer:not(.without-maps) li")

    @property
    def canvas(self):
        """The picture; the left of two."""
        return self.page.locator(".concept-explorer canvas").first

    def row(self, name):
        return self.page.locator(".concept-explorer li", has=self.page.locator(f".name:text-is('{name}')"))

    def button(self, text):
        return self.page.locator(".concept-explorer .bar button", has_text=re.compile(f"^{text}$"))

    def action(self, text):
        """The small button whose title begins so."""
        return self.page.get_by_role("button", name=re.compile(f"^{text}"))

    def ranked(self):
        """[(name, share in percent)] as they are listed."""
        names = self.page.locator(".concept-explorer li .name").all_inner_texts()
        shares = self.page.locator(".concept-explorer li em").all_inner_texts()
        return [(name, int(share.removesuffix(" %"))) for name, share in zip(names, shares)]

    def drawn(self, canvas=None):
        """The picture's pixels [H, W, 3], or another canvas's."""
        width, height, data = (canvas or self.canvas).evaluate(PIXELS)
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3].astype(int)

    def at(self, across, down):
        """The place in the page of a point of the picture, both in 0..1."""
        box = self.canvas.bounding_box()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def widget(self, name):
        return self.page.evaluate(f"(name) => {NODE}.widgets.find((widget) => widget.name === name).value", name)

    def set_widget(self, name, value):
        self.page.evaluate(
            f"""([name, value]) => {{
                const widget = {NODE}.widgets.find((widget) => widget.name === name)
                widget.value = value
                widget.callback?.(value)
            }}""",
            [name, value],
        )

    def seen(self):
        return self.page.locator(".concept-explorer li.seen .name").all_inner_texts()

    def selected(self):
        return self.page.locator(".concept-explorer li.selected .name").all_inner_texts()

    def notes(self):
        """Their kinds and texts."""
        return self.page.locator(".concept-explorer .notes p").evaluate_all("(lines) => lines.map((p) => [p.className, p.textContent])")


def places(explorer):
    """name → the point [across, down] where the picture is most of that concept, by the segments' colours."""
    explorer.button("Segments").click()
    explorer.page.locator(".concept-explorer label input").fill("1")
    drawn = explorer.drawn()
    found = {}
    for name in CONCEPTS:
        swatch = explorer.row(name).locator(".swatch").evaluate("(swatch) => getComputedStyle(swatch).backgroundColor")
        colour = [int(part) for part in re.findall(r"\d+", swatch)[:3]]
        mine = (np.abs(drawn - colour).max(2) <= 2).astype(float)
        if mine.mean() > 0.01:
            padded = np.pad(mine, 8).cumsum(0).cumsum(1)
            crowd = padded[16:, 16:] - padded[:-16, 16:] - padded[16:, :-16] + padded[:-16, :-16]
            down, across = np.unravel_index(crowd.argmax(), crowd.shape)
            found[name] = ((across + 0.5) / drawn.shape[1], (down + 0.5) / drawn.shape[0])
    assert len(found) >= 3 and "grass" in found
    explorer.button("Heatmap").click()
    explorer.page.locator(".concept-explorer label input").fill("0.7")
    return found


def masked(explorer):
    """What the mask view leaves light."""
    explorer.button("Mask").click()
    explorer.page.locator(".concept-explorer label input").fill("1")
    return (explorer.drawn() != [12, 12, 16]).any(2)


def made_by(explorer, node_type):
    """The masks that the last run's node of that type showed, [H, W] of booleans each."""
    images = explorer.page.evaluate(
        """async (type) => {
            const { api } = await import('/scripts/api.js')
            const history = await (await api.fetchApi('/history?max_items=1')).json()
            const [{ outputs }] = Object.values(history)
            return outputs[app.graph.nodes.find((node) => node.type === type).id].images.map(({ filename }) => filename)
        }""",
        node_type,
    )
    return [np.asarray(Image.open(explorer.temporary / name).convert("L")) > 127 for name in images]
