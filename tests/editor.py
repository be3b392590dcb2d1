"""ComfyUI's interface in a headless browser, driven as a user does: with mouse and keys where it matters."""

import json
import re
from pathlib import Path

import pytest

EXTENSION = "/extensions/concept-attention/"
TRANSLATED_HELP = r"/docs/\w+/en\.md$"  # the interface asks for it first, and takes the page without a language where there is none
SETTINGS = {  # tests change some of them
    "Comfy.TutorialCompleted": True,
    "Comfy.VueNodes.Enabled": False,
    "Comfy.Locale": "en",
    "Comfy.Minimap.Visible": False,
    "Comfy.OnboardingCoachmarks.Seen": ["appMode", "firstRun"],  # of newer front ends
}
PATIENCE = 90  # seconds, on a machine with other work
AS_ELEMENTS = {"Comfy.VueNodes.Enabled": True}
RENDERINGS = ["drawn", "as elements"]
BOTH_RENDERINGS = pytest.mark.parametrize("editor", [{}, AS_ELEMENTS], indirect=True, ids=RENDERINGS)

# Notes every address that is asked for, and by whom.
WATCH = """
window.__asked = []
const note = (address) => window.__asked.push([new URL(address, location.href).href, new Error().stack])
const { fetch } = window
window.fetch = (request, ...more) => { note(request.url ?? request); return fetch(request, ...more) }
const { open } = XMLHttpRequest.prototype
XMLHttpRequest.prototype.open = function (method, address, ...more) { note(address); return open.call(this, method, address, ...more) }
for (const [kind, name] of [[HTMLImageElement, 'src'], [HTMLScriptElement, 'src'], [HTMLLinkElement, 'href']]) {
    const { get, set } = Object.getOwnPropertyDescriptor(kind.prototype, name)
    Object.defineProperty(kind.prototype, name, { get, set(address) { note(address); set.call(this, address) } })
}
"""


LEFT = """() => [
    Object.keys(window).sort(), Object.keys(app), [...document.body.children].map(({ tagName, className }) => `${tagName} ${className}`)]"""
RENEW = """async () => {
    const { workflow, command } = app.extensionManager
    const before = [...workflow.openWorkflows]
    await command.execute('Comfy.LoadDefaultWorkflow')
    for (const each of before) if (each !== workflow.activeWorkflow) await workflow.closeWorkflow(each)
    localStorage.clear()
    sessionStorage.clear()
    window.__asked.length = 0
    app.canvas.deselectAll()
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [0, 0]
}"""


class Editor:
    """errors: what the browser's console says of our files."""

    def __init__(self, context, address, settings: Path):
        """settings: the server's file of them."""
        self.context, self.page, self.address, self.settings = context, context.new_page(), f"http://{address}", settings
        self.errors, self.screenshots = [], Path()
        self.page.on("console", self.hear)
        self.page.on("pageerror", lambda error: EXTENSION in (error.stack or "") and self.errors.append(str(error)))
        self.page.route(re.compile(f"^(?!{re.escape(self.address)})https?://"), lambda route: route.abort())
        self.page.add_init_script(WATCH)
        self.page.set_default_timeout(1000 * PATIENCE)

    def hear(self, message):
        address = message.location.get("url", "")
        if message.type == "error" and EXTENSION in address + message.text and not re.search(TRANSLATED_HELP, address):
            self.errors.append(f"{message.text} {address}")

    def asked_by_us(self) -> list[str]:
        """Addresses beyond the server that code of ours asked for; the interface itself asks its makers for news."""
        asked = self.page.evaluate("window.__asked ?? []")
        return [address for address, stack in asked if EXTENSION in stack and not address.startswith((self.address, "blob:", "data:"))]

    def start(self, **settings):
        """Open the interface with some of its settings changed."""
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        self.settings.write_text(json.dumps({**SETTINGS, **settings}))
        self.page.goto(self.address)
        self.wait_until_ready()
        self.untouched = self.left()

    def left(self):
        """What a test may change, beside the graph and what the page stores."""
        return json.loads(self.settings.read_text()), *self.page.evaluate(LEFT)

    def renew(self) -> bool:
        """Put back what the interface starts with. Whether nothing else was changed since."""
        self.page.mouse.move(0, 0)
        self.page.evaluate(RENEW)
        return self.left() == self.untouched and len(self.context.pages) == 1

    def take_up(self):
        """Go on where others of the same server were used."""
        self.settings.write_text(json.dumps(self.untouched[0]))

    def reload(self):
        self.page.reload()
        self.wait_until_ready()

    def wait_until_ready(self):
        """Until it has opened the graph that it starts with, which would else come in place of a test's."""
        self.page.wait_for_function("window.app?.extensionManager?.workflow?.activeWorkflow && window.app.graph?.nodes.length")
        self.page.wait_for_function("!document.querySelector('.p-blockui-mask')")
        self.page.wait_for_function("Object.keys(LiteGraph.registered_node_types).some((name) => name.startsWith('ConceptAttention'))")

    def open(self, workflow: dict):
        self.page.evaluate("(workflow) => app.loadGraphData(workflow)", workflow)
        self.page.wait_for_function("(count) => app.graph.nodes.length >= count", arg=len(workflow["nodes"]))

    def open_template(self, workflow: dict, name: str):
        """As a click on its card does: all of it is brought into view."""
        self.page.evaluate("(given) => app.loadGraphData(given[0], true, true, given[1], { openSource: 'template' })", [workflow, name])
        self.page.wait_for_timeout(700)

    def queue(self, seconds=120):
        """Queue the graph and wait until it has run; RuntimeError with what the server says where it fails."""
        ended = self.page.evaluate(
            """(seconds) => new Promise(async (resolve) => {
                const { api } = await import('/scripts/api.js')
                for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
                    api.addEventListener(kind, ({ detail }) => resolve({ kind, detail }), { once: true })
                setTimeout(() => resolve({ kind: 'too slow' }), 1000 * seconds)
                if (!(await app.queuePrompt(0))) resolve({ kind: 'refused', detail: app.lastNodeErrors })
            })""",
            seconds,
        )
        if ended["kind"] != "execution_success":
            raise RuntimeError(json.dumps(ended)[:2000])

    def only(self, node_type: str) -> int:
        """A graph of one new node; its id."""
        return self.page.evaluate(
            """(type) => {
                app.graph.clear()
                const node = LiteGraph.createNode(type)
                node.pos = [100, 100]
                app.graph.add(node)
                return node.id
            }""",
            node_type,
        )

    def center(self, node_id, scale=1.0):
        """Bring a node to the middle of the window."""
        self.page.evaluate(
            """([id, scale]) => {
                app.canvas.ds.scale = scale
                app.canvas.centerOnNode(app.graph.getNodeById(id))
                app.canvas.draw(true, true)
            }""",
            [node_id, scale],
        )
        self.page.wait_for_timeout(200)

    def click_title(self, node_id):
        x, y = self.page.evaluate(
            """(id) => {
                const { pos } = app.graph.getNodeById(id)
                const { scale, offset } = app.canvas.ds
                const box = app.canvas.canvas.getBoundingClientRect()
                return [(pos[0] + offset[0] + 60) * scale + box.x, (pos[1] + offset[1] - 12) * scale + box.y]
            }""",
            node_id,
        )
        self.page.mouse.click(x, y)

    def run_command(self, command):
        self.page.evaluate("(command) => app.extensionManager.command.execute(command)", command)

    def dialogs(self) -> list[str]:
        return self.page.locator("[role=dialog]").all_inner_texts()

    def exported(self) -> dict:
        """The graph in API format."""
        return self.page.evaluate("async () => (await app.graphToPrompt()).output")

    def serialized(self) -> dict:
        return self.page.evaluate("() => app.graph.serialize()")

    def screenshot(self, name: str) -> Path:
        self.screenshots.mkdir(parents=True, exist_ok=True)
        path = self.screenshots / f"{name}.png"
        self.page.screenshot(path=path)
        return path
