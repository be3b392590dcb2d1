"""A graph that was saved before a widget was there keeps its results."""


def test_decode_of_an_earlier_version_takes_all_steps(editor, live):
    workflow = live.workflow_file("03 Heatmaps (demo)")
    (decode,) = (node for node in workflow["nodes"] if node["type"] == "ConceptAttentionDecode")
    decode["widgets_values"] = decode["widgets_values"][:6]
    decode["inputs"] = [socket for socket in decode["inputs"] if socket["name"] not in ("order", "steps")]
    editor.open(workflow)
    inputs = editor.exported()[str(decode["id"])]["inputs"]
    assert (inputs["temperature"], inputs["order"], inputs["steps"]) == (1, "auto", "all")
    editor.open(editor.serialized())  # saved anew, it is as it was loaded
    assert editor.exported()[str(decode["id"])]["inputs"]["steps"] == "all"
    editor.only("ConceptAttentionDecode")
    ((_, fresh),) = editor.exported().items()
    assert fresh["inputs"]["steps"] == "auto"
