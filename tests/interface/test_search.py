"""What people type into the search for nodes, and the node that is for it."""

WANTED = {  # each node is missing from the list before
    "mask from text": "Concept Mask",
    "saliency": "Concept Heatmap",
    "mask by prompt": "Concept Mask",
    "daam": "Concept Heatmap",
    "inpaint mask": "Concept Mask",
    "interpret": "Concept Explorer",
    "clipseg": "Concept Mask",
    "attention map": "Concept Heatmap",
    "segment": "Concept Segmentation",
    "cross attention": "Apply Concept Attention",
    "heatmap": "Concept Explorer",
}


def test_finds_the_node(editor):
    editor.run_command("Workspace.SearchBox.Toggle")
    box = editor.page.get_by_placeholder("Add a node").or_(editor.page.get_by_placeholder("Search nodes")).first
    for typed, node in WANTED.items():
        box.fill(typed)
        editor.page.locator("[role=option]", has_text=node).first.wait_for()
