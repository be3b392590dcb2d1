"""Runs a workflow's nodes in this process, with small models in the place of what its loaders would load."""

from functools import cache

import comfy_extras.nodes_hunyuan
import comfy_extras.nodes_mask
import comfy_extras.nodes_model_advanced
import comfy_extras.nodes_wan
from comfy_api.latest import io
from concept_attention.nodes import NODES

import nodes

OURS = {node.define_schema().node_id: node for node in NODES}
MODULES = [nodes, comfy_extras.nodes_hunyuan, comfy_extras.nodes_mask, comfy_extras.nodes_model_advanced, comfy_extras.nodes_wan]


def node_class(name):
    return OURS.get(name) or next(getattr(module, name) for module in MODULES if hasattr(module, name))


class Graph:
    """prompt: a workflow in API format. loaded: class → outputs, of nodes that are not to run. changes: title → inputs to set."""

    def __init__(self, prompt, loaded, changes):
        self.nodes = {node["_meta"]["title"]: node for node in prompt.values()}
        self.prompt, self.loaded = prompt, loaded
        for title, inputs in changes.items():
            assert inputs.keys() <= self.nodes[title]["inputs"].keys()
            self.nodes[title]["inputs"] |= inputs
        self.outputs = cache(self.outputs)

    def outputs(self, number):
        """Of the node with that number."""
        node = self.prompt[number]
        if node["class_type"] in self.loaded:
            return self.loaded[node["class_type"]]
        inputs = {name: self.outputs(value[0])[value[1]] if isinstance(value, list) else value for name, value in node["inputs"].items()}
        kind = node_class(node["class_type"])
        if issubclass(kind, io.ComfyNode):
            return kind.execute(**inputs).args
        return getattr(kind(), kind.FUNCTION)(**inputs)

    def into(self, title, name):
        """What an input gets that is connected."""
        number, place = self.nodes[title]["inputs"][name]
        return self.outputs(number)[place]
