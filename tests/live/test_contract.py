"""Node ids, sockets, names, the order of widgets and their defaults are a public contract: workflows store them.

contract.json holds them as they were published. Nothing in it may change, except that new widgets go last and new
nodes are added; then write it anew with `python run.py test tests/live/test_contract.py --write-contract`.
"""

import json
from pathlib import Path

import node_texts

CONTRACT = Path(__file__).with_name("contract.json")
KEPT = ("default", "options", "min", "max", "step", "advanced", "multiline")


def contract_of(node_type):
    inputs = []
    for name, kind, options in node_texts.inputs(node_type):
        about = {key: options[key] for key in KEPT if key in options}
        if node_type["name"] in ("ConceptAttentionLoadMaps", "ConceptAttentionLoadRecording") or name in ("sampler_name", "scheduler"):
            del about["options"]  # the files there are, the samplers that ComfyUI has
        inputs.append({"name": name, "type": kind, "optional": options["optional"], **about})
    outputs = [{"name": name, "type": kind} for name, kind in zip(node_type["output_name"], node_type["output"])]
    return {
        "display_name": node_type["display_name"],
        "category": node_type["category"],
        "output_node": node_type["output_node"],
        "inputs": inputs,
        "outputs": outputs,
    }


def test_nodes_are_as_published(live, request):
    nodes = {name: contract_of(about) for name, about in node_texts.ours(live.node_types()).items()}
    if request.config.getoption("--write-contract"):
        CONTRACT.write_text(json.dumps(nodes, indent=1) + "\n", encoding="utf-8")
    assert nodes == json.loads(CONTRACT.read_text(encoding="utf-8"))


def test_every_input_and_output_has_a_tooltip(live):
    for name, about in node_texts.ours(live.node_types()).items():
        for input_name, _, options in node_texts.inputs(about):
            assert options.get("tooltip"), (name, input_name)
        assert all(about["output_tooltips"]) and about["description"], name
