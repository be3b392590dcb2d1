"""Run the demo workflows on a ComfyUI server and leave their pictures and maps in demo_output/.

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
DEMOS = sorted(path.stem for path in WORKFLOWS.glob("*(demo).json"))
OUTPUT = ROOT / "demo_output"


def main():
    home = ROOT / ".dev"
    home.mkdir(exist_ok=True)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    print("Starting ComfyUI …", flush=True)
    started = time.time()
    with running_server(home / "base", OUTPUT, home / "server.log") as (address, _):
        print(f"ComfyUI is up after {time.time() - started:.0f} s.", flush=True)
        results = asyncio.run(run_demos(address))
    print(f"Done. Pictures and maps are in {OUTPUT}:")
    for result in results:
        for file in saved_files(result):
            print(f"  {file}")
    if "--previews" in sys.argv:
        from previews import draw_previews

        draw_previews(OUTPUT, WORKFLOWS, ROOT / "docs")


async def run_demos(address):
    async with Client(address) as client:
        node_types = await client.get("/object_info")
        return [await run_demo(client, name, node_types) for name in DEMOS]


async def run_demo(client, name, node_types):
    print(f"Queueing {name}.json …", flush=True)
    workflow = json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))
    prompt = to_prompt(workflow, node_types)

    def progress(node, value, total):
        title = prompt[node.split(".")[0]]["class_type"]  # what a node expands to is numbered after it
        if total == 0:
            print(f"  {title}", flush=True)
        elif value == total or value % 5 == 0:
            print(f"  {title} {value}/{total}", flush=True)

    return await client.queue(prompt, progress, workflow)


def saved_files(result):
    for output in result.outputs.values():
        for image in output.get("images", []):
            if image["type"] == "output":  # the rest are previews
                yield f"{image['subfolder']}/{image['filename']}"
        yield from (text for text in output.get("text", []) if text.endswith(".safetensors"))


if __name__ == "__main__":
    try:
        main()
    except (WorkflowError, RuntimeError) as error:
        sys.exit(str(error))
