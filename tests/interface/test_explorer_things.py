"""Concept Explorer takes single things: what is clicked, drawn and comes out, and Concept Instances beside it."""

import numpy as np
import pytest
from editor import BOTH_RENDERINGS
from explorer_panel import Explorer, made_by, masked


@pytest.fixture
def explorer(editor, workflow, live):
    """Of a picture with two circles, the left one red and the right one blue; Concept Instances beside it."""
    values = {"Prompt": "a red circle and a blue circle on sand", "ConceptAttentionEncodeConcepts": "circle, sand"}
    values |= {"EmptySD3LatentImage": [256, 256, 1], "KSampler": [32, "fixed", 20, 2.0, "euler", "simple", 1.0]}
    made = {**workflow, "nodes": [dict(node) for node in workflow["nodes"]]}
    for node in made["nodes"]:
        value = values.get(node.get("title"), values.get(node["type"]))
        if value:
            node["widgets_values"] = value if isinstance(value, list) else [value, *node["widgets_values"][1:]]
    explorer = Explorer(editor, made)
    explorer.temporary = live.base / "temp"
    editor.page.evaluate(
        """() => {
            const node = LiteGraph.createNode('ConceptAttentionInstances')
            node.pos = [1324, 420]
            app.graph.add(node)
            node.widgets[0].value = 'circle'
            const find = (type) => app.graph.nodes.find((each) => each.type === type)
            find('ConceptAttentionDecode').connect(0, node, 0)
            find('VAEDecode').connect(0, node, node.findInputSlot('image'))
            const mask = find('ConceptAttentionMask')
            mask.disconnectInput(mask.findInputSlot('concept'))
            mask.widgets[0].value = 'circle #1, circle #2'
        }"""
    )
    explorer.run()
    return explorer


def middles(masks):
    """Of each mask the point [across, down], in 0..1."""
    return [[np.mean(at) / side for at, side in zip(reversed(mask.nonzero()), reversed(mask.shape))] for mask in masks]


def selected_things(explorer):
    return [text for text in explorer.page.locator(".concept-explorer li small").all_inner_texts() if text]


@BOTH_RENDERINGS
def test_a_click_takes_the_thing_that_concept_instances_gives(explorer):
    instances = made_by(explorer, "ConceptAttentionInstances")
    assert len(instances) == 2 and all(mask.any() for mask in instances)
    numbered = made_by(explorer, "ConceptAttentionMask")
    assert all(np.array_equal(one, other) for one, other in zip(numbered, instances))  # Concept Mask, of the same soft mask
    spots = middles(instances)
    click_takes = explorer.action("Click takes one thing")
    explorer.page.mouse.click(*explorer.at(*spots[1]))
    assert explorer.widget("pinned") == "circle" and click_takes.get_attribute("aria-pressed") == "false"
    whole = masked(explorer)
    click_takes.click()
    assert click_takes.get_attribute("aria-pressed") == "true"
    drawn = []
    for number, spot in enumerate(spots, 1):
        explorer.page.mouse.click(*explorer.at(*spot))
        assert explorer.widget("pinned") == f"circle #{number}" and selected_things(explorer) == [f"#{number}"]
        assert explorer.page.locator(".concept-explorer .caption").inner_text() == f"Share here: circle #{number}"
        drawn.append(masked(explorer))
        own, other = instances[number - 1], instances[2 - number]
        assert (drawn[-1] & own).sum() > 0.97 * (drawn[-1] | own).sum() and not (drawn[-1] & other).any()
        explorer.run()
        (given,) = made_by(explorer, "MaskPreview")
        assert np.array_equal(given, drawn[-1])  # what is drawn is what comes out
    assert np.array_equal(drawn[0] | drawn[1], whole) and not (drawn[0] & drawn[1]).any()
    explorer.editor.screenshot("one thing")
    explorer.page.keyboard.down("Shift")
    explorer.page.mouse.click(*explorer.at(*spots[0]))
    explorer.page.keyboard.up("Shift")
    assert explorer.widget("pinned") == "circle #1 + circle #2" and np.array_equal(masked(explorer), whole)
    explorer.page.keyboard.down("Shift")
    explorer.page.mouse.click(*explorer.at(*spots[1]))
    explorer.page.mouse.click(*explorer.at(0.02, 0.02))
    explorer.page.keyboard.up("Shift")
    assert explorer.widget("pinned") == "circle #1 + sand #1" and selected_things(explorer) == ["#1", "#1"]
    explorer.row("sand").locator(".name").click()
    assert explorer.widget("pinned") == "sand" and not selected_things(explorer)


@BOTH_RENDERINGS
def test_a_thing_is_kept_in_the_workflow(explorer):
    spots = middles(made_by(explorer, "ConceptAttentionInstances"))
    explorer.action("Click takes one thing").click()
    explorer.page.mouse.click(*explorer.at(*spots[1]))
    explorer.page.mouse.move(5, 500)
    drawn, saved = masked(explorer), explorer.editor.serialized()
    explorer.row("sand").locator(".name").click()
    explorer.editor.open(saved)
    explorer.wait()
    assert explorer.widget("pinned") == "circle #2" and selected_things(explorer) == ["#2"]
    assert explorer.action("Click takes one thing").get_attribute("aria-pressed") == "true" and np.array_equal(masked(explorer), drawn)
    explorer.page.mouse.click(*explorer.at(*spots[0]))
    assert explorer.widget("pinned") == "circle #1"
    explorer.set_widget("threshold", 0.9)
    assert 0 < masked(explorer).sum() < drawn.sum()


def test_keys_go_through_the_things(explorer):
    explorer.page.mouse.click(*explorer.at(*middles(made_by(explorer, "ConceptAttentionInstances"))[0]))
    explorer.page.mouse.move(5, 500)
    taken = []
    for key in "nnnn":
        explorer.page.keyboard.press(key)
        taken.append(explorer.widget("pinned"))
    assert taken == ["circle #1", "circle #2", "circle", "circle #1"]
    explorer.page.keyboard.press("t")
    assert explorer.action("Click takes one thing").get_attribute("aria-pressed") == "true"
    explorer.button("Heatmap").click()
    explorer.page.locator(".concept-explorer label input").fill("1")
    first = explorer.drawn()
    explorer.set_widget("pinned", "circle")
    second = made_by(explorer, "ConceptAttentionInstances")[1]
    changed = (explorer.drawn() != first).any(2)
    assert changed[second].mean() > 0.9  # of the other thing the heatmap showed nothing
    explorer.set_widget("pinned", "circle #7")
    assert explorer.notes() == [["warning", "Nothing is found of circle #7 here."]]
    explorer.run()
    assert not np.any(made_by(explorer, "MaskPreview"))
