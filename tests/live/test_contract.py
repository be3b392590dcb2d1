"""Node ids, sockets, names, the order of widgets and their defaults are a public contract: workflows store them.

contract.json holds them as they were published. Nothing in it may change, except that new widgets go last and new
nodes are added; then write it anew with `python run.py test tests/live/test_contract.py --write-contract`.
"""

import json
from pathlib import Path

CONTRACT = Path(__file__).with_name("contract.json")
KEPT = ("default", "options", "min", "max", "step", "advanced", "multiline")


def contract_of(node_type):
    inputs = []
    for group in ("required", "optional"):
        for name, (kind, *options) in node_type["input"].get(group, {}).items():
            about = {key: options[0][key] for key in KEPT if options and key in options[0]}
            if node_type["name"] in ("ConceptAttentionLoadMaps", "ConceptAttentionLoadRecording"):
                del about["options"]  # the files there are
            inputs.append({"name": name, "type": kind, "optional": group == "optional", **about})
    outputs = [{"name": name, "type": kind} for name, kind in zip(node_type["output_name"], node_type["output"])]
    return {
        "display_name": node_type["display_name"],
        "category": node_type["category"],
        "output_node": node_type["output_node"],
        "inputs": inputs,
        "outputs": outputs,
    }


def test_nodes_are_as_published(live, request):
    types = live.node_types()
    nodes = {name: contract_of(about) for name, about in sorted(types.items()) if name.startswith("ConceptAttention")}
    if request.config.getoption("--write-contract"):
        CONTRACT.write_text(json.dumps(nodes, indent=1) + "\n", encoding="utf-8")
    assert nodes == json.loads(CONTRACT.read_text(encoding="utf-8"))


def test_every_input_and_output_has_a_tooltip(live):
    for name, about in live.node_types().items():
        if not name.startswith("ConceptAttention"):
            continue
        for group in ("required", "optional"):
            for input_name, (_, *options) in about["input"].get(group, {}).items():
                assert options[0].get("tooltip"), (name, input_name)
        assert all(about["output_tooltips"]) and about["description"], name
