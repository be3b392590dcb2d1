"""The rooms of concept_core, one above the other: each imports from those below it, and ComfyUI is at home in the upper three alone."""

import ast
from pathlib import Path

CORE = Path(__file__).parents[2] / "concept_core"
ROOMS = ["concepts", "recording", "maps", "masks", "steer", "draw", "storage", "families", "record", "api"]
OF_COMFYUI = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "latent_preview", "node_helpers", "nodes", "server"}
FILES = sorted(CORE.glob("*/*.py"))


def imports(path):
    """(level, module) of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, name) for name in ([node.module] if node.module else [alias.name for alias in node.names]))


def test_every_file_has_a_room():
    assert {path.parent.name for path in FILES} == set(ROOMS)
    assert [path.name for path in CORE.glob("*.py")] == ["__init__.py"]


def test_rooms_import_from_those_below():
    upwards = []
    for path in FILES:
        below = ROOMS[: ROOMS.index(path.parent.name)]
        for level, module in imports(path):
            assert level <= 2, f"{path} imports from outside the house"
            if level == 2 and module.split(".")[0] not in below:
                upwards.append(f"{path.parent.name}/{path.name} imports {module}")
    assert not upwards


def test_comfyui_is_imported_in_the_upper_three_rooms():
    at_home = {path.parent.name for path in FILES for level, module in imports(path) if level == 0 and module.split(".")[0] in OF_COMFYUI}
    assert at_home == {"families", "record", "api"}


def test_files_of_a_room_import_one_another_in_one_direction():
    for room in ROOMS:
        needs = {path.stem: {m for level, m in imports(path) if level == 1} for path in FILES if path.parent.name == room}
        while needs:
            ready = {name for name, needed in needs.items() if not needed & needs.keys()}
            assert ready, f"{room}: {sorted(needs)} import one another"
            needs = {name: needed for name, needed in needs.items() if name not in ready}
