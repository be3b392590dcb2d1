"""How long ComfyUI takes to load this pack, over an empty one, and what it brings along. Run in a process of its own: see after.py.

Prints JSON: seconds of each, and which modules of others were imported for the pack.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

EMPTY = """
from comfy_api.latest import ComfyExtension
class Empty(ComfyExtension):
    async def get_node_list(self):
        return []
async def comfy_entrypoint():
    return Empty()
"""


async def main():
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import server

    import nodes

    server.PromptServer(asyncio.get_running_loop())
    await nodes.init_extra_nodes(init_custom_nodes=False)
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder, "empty")
        empty.mkdir()
        (empty / "__init__.py").write_text(EMPTY)
        first, _ = await seconds(nodes, empty)  # the first of all reads ComfyUI's own parser of pyproject.toml
        took, _ = await seconds(nodes, empty)
    pack, brought = await seconds(nodes, Path(__file__).resolve().parents[1])
    print(json.dumps({"empty": took, "pack": pack, "brought": brought}))


async def seconds(nodes, folder: Path):
    before = set(sys.modules)
    started = time.perf_counter()
    if not await nodes.load_custom_node(str(folder)):
        raise RuntimeError(f"{folder} was not loaded")
    took = time.perf_counter() - started
    names = {name.split(".")[0] for name in set(sys.modules) - before}
    return took, sorted(name for name in names if not name.startswith(str(folder.parent).split(".")[0]))


asyncio.run(main())
