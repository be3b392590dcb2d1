"""Run the demo workflow on a ComfyUI server and leave its pictures and maps in demo_output/.

With --previews also draw the pictures of README and example workflows from them.
"""

import asyncio
import json
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # some Pythons that come with ComfyUI do not

from comfy_client import Client, WorkflowError, to_prompt  # noqa: E402
from comfy_server import ROOT, running_server  # noqa: E402

WORKFLOWS = ROOT / "example_workflows"
OUTPUT = ROOT / "demo_output"


def main():
    home = ROOT / ".dev"
    home.mkdir(exist_ok=True)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    print("Starting ComfyUI …", flush=True)
    started = time.time()
    with running_server(home / "base", OUTPUT, home / "server.log") as (address, _):
        print(f"ComfyUI is up after {time.time() - started:.0f} s. Queueing concept_heatmaps_demo.json …", flush=True)
        result = asyncio.run(run(address))
    print(f"Done. Pictures and maps are in {OUTPUT}:")
    for file in saved_files(result):
        print(f"  {file}")
    if "--previews" in sys.argv:
        from previews import draw_previews

        draw_previews(OUTPUT / "concept_attention", WORKFLOWS, ROOT / "docs")


async def run(address):
    async with Client(address) as client:
        workflow = json.loads((WORKFLOWS / "concept_heatmaps_demo.json").read_text(encoding="utf-8"))
        prompt = to_prompt(workflow, await client.get("/object_info"))

        def progress(node, value, total):
            name = prompt[node]["class_type"]
            if total == 0:
                print(f"  {name}", flush=True)
            elif value == total or value % 5 == 0:
                print(f"  {name} {value}/{total}", flush=True)

        return await client.queue(prompt, progress)


def saved_files(result):
    for output in result.outputs.values():
        for image in output.get("images", []):
            yield f"{image['subfolder']}/{image['filename']}"
        yield from output.get("text", [])


if __name__ == "__main__":
    try:
        main()
    except (WorkflowError, RuntimeError) as error:
        sys.exit(str(error))
