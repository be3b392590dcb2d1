"""A running ComfyUI server for the tests that need one."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import pytest
from comfy_client import Client, to_prompt
from comfy_server import ROOT, running_server


class Live:
    """A running ComfyUI server, driven over HTTP as its interface does."""

    def __init__(self, address, process, base, output):
        self.address, self.process, self.base, self.output = address, process, base, output

    def do(self, work):
        """Run `work(client)` with a connected client."""

        async def connected():
            async with Client(self.address) as client:
                return await work(client)

        with ThreadPoolExecutor(1) as thread:  # a browser's driver may have its own loop in this one
            return thread.submit(asyncio.run, connected()).result()

    def queue(self, prompt):
        return self.do(lambda client: client.queue(prompt))

    def node_types(self):
        return self.do(lambda client: client.get("/object_info"))

    def workflow(self, name):
        """An example workflow in API format."""
        return to_prompt(self.workflow_file(name), self.declared)

    @cached_property
    def declared(self):
        """node_types(), asked once: lists of files in it may be stale."""
        return self.node_types()

    @staticmethod
    def workflow_file(name):
        return json.loads((ROOT / "example_workflows" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def live(tmp_path_factory):
    base = tmp_path_factory.mktemp("comfyui")
    with running_server(base, base / "output", base / "server.log") as (address, process):
        yield Live(address, process, base, base / "output")
