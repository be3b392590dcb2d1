"""Queue workflows on a ComfyUI server, as its interface does, and follow what it reports."""

import json
import uuid
from dataclasses import dataclass, field

import aiohttp

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


@dataclass
class Result:
    """executed: ids of the nodes that ran, in order (cached ones do not). outputs: node id → what its node shows."""

    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    outputs: dict[str, dict] = field(default_factory=dict)


class WorkflowError(Exception):
    """The server refused or failed a workflow; the text is what the interface would show."""


class Client:
    def __init__(self, address):
        self.address = f"http://{address}"
        self.id = uuid.uuid4().hex

    async def __aenter__(self):
        self.session = await aiohttp.ClientSession().__aenter__()
        self.socket = await self.session.ws_connect(f"{self.address}/ws?clientId={self.id}", max_msg_size=0)
        return self

    async def __aexit__(self, *error):
        await self.socket.close()
        await self.session.close()

    async def get(self, path):
        async with self.session.get(self.address + path) as reply:
            return await reply.json()

    async def interrupt(self):
        await (await self.session.post(f"{self.address}/interrupt")).release()

    async def queue(self, prompt: dict, progress=lambda node, value, total: None, workflow: dict | None = None) -> Result:
        """Run an API-format workflow to its end. WorkflowError if it, or a part of it, is refused or fails.

        workflow: the graph that saved pictures carry, so that one can be dragged into ComfyUI.
        """
        pnginfo = {"extra_pnginfo": {"workflow": workflow}} if workflow else {}
        request = {"prompt": prompt, "client_id": self.id, "extra_data": pnginfo}
        async with self.session.post(f"{self.address}/prompt", json=request) as reply:
            answer = await reply.json()
        if reply.status != 200:
            raise WorkflowError(_refusal(answer))
        result = await self._follow(answer["prompt_id"], progress)
        if answer.get("node_errors"):  # the server runs what is left
            raise WorkflowError(_refusal(answer))
        return result

    async def _follow(self, prompt_id, progress):
        result = Result()
        async for message in self.socket:
            if message.type != aiohttp.WSMsgType.TEXT:
                continue  # binary messages are previews
            event = json.loads(message.data)
            kind, data = event["type"], event["data"]
            if data.get("prompt_id") != prompt_id:
                continue
            if kind == "execution_cached":
                result.cached = data["nodes"]
            elif kind == "executing" and data["node"]:
                result.executed.append(data["node"])
                progress(data["node"], 0, 0)
            elif kind == "progress":
                progress(data["node"], data["value"], data["max"])
            elif kind == "executed":
                result.outputs[data["node"]] = data["output"]
            elif kind == "execution_error":
                raise WorkflowError(f"{data['node_type']}: {data['exception_message'].strip()}")
            elif kind == "execution_interrupted":
                raise WorkflowError("interrupted")
            elif kind == "execution_success":
                return result
        raise WorkflowError("the server closed the connection")


def _refusal(answer):
    lines = [answer["error"]["message"]] if "error" in answer else []
    for node in answer.get("node_errors", {}).values():
        lines += [f"{node['class_type']}: {error['message']}: {error['details']}" for error in node["errors"]]
    return "\n".join(lines)


def to_prompt(workflow: dict, node_types: dict) -> dict:
    """The API format of a workflow in the interface's format; node_types is what /object_info gives."""
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    return {
        str(node["id"]): {"class_type": node["type"], "inputs": _inputs(node, node_types[node["type"]], links)}
        for node in workflow["nodes"]
        if node["type"] in node_types
    }


def _inputs(node, node_type, links):
    inputs = {}
    values = iter(node.get("widgets_values", []))
    for name, kind, *options in _declared(node_type):
        if (isinstance(kind, list) or kind in WIDGETS) and not (options and options[0].get("forceInput")):
            inputs[name] = next(values)
            if options and options[0].get("control_after_generate"):
                next(values)  # "fixed", "randomize", …: for the interface only
    for socket in node.get("inputs", []):
        if socket.get("link") is not None:
            inputs[socket["name"]] = links[socket["link"]]
    return inputs


def _declared(node_type):
    for group in ("required", "optional"):
        for name, declared in node_type["input"].get(group, {}).items():
            yield name, *declared
