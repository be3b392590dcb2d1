"""What the registry publishes: the tracked files but those that .comfyignore names."""

import ast
import json
import subprocess
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[2]
FOLDERS = {"concept_core", "nodes", "demo_model", "web", "locales", "example_workflows", "subgraphs", "docs", "check"}
FILES = {"__init__.py", "CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", ".comfyignore", ".gitignore"}
SUFFIXES = {".py", ".md", ".json", ".js", ".css", ".jpg", ".png", ".webp", ".svg", ".safetensors", ".toml", ".ipynb", ""}
LARGEST = 30 << 20
FORBIDDEN = {"eval", "exec", "compile", "__import__"}
MODULES = {"subprocess", "socket", "urllib", "requests", "http", "aiohttp", "pip", "ctypes", "pickle", "importlib"}


def published():
    def listed(*options):
        done = subprocess.run(["git", "ls-files", *options], cwd=ROOT, check=True, capture_output=True, text=True, encoding="utf-8")
        return {Path(line) for line in done.stdout.splitlines()}

    return listed() - listed("--cached", "--ignored", "--exclude-from=.comfyignore")


def test_it_holds_what_is_needed_and_nothing_else():
    files = published()
    assert {file.parts[0] for file in files if len(file.parts) > 1} == FOLDERS
    assert {file.name for file in files if len(file.parts) == 1} <= FILES and Path("__init__.py") in files
    assert {file.suffix for file in files} <= SUFFIXES
    assert sum((ROOT / file).stat().st_size for file in files) < LARGEST


def test_every_module_that_is_imported_is_in_it():
    files = published()
    for file in files:
        if file.suffix != ".py":
            continue
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                folder = file.parents[node.level - 1]
                module = folder.joinpath(*(node.module or "").split(".")) if node.module else folder
                names = [module] if node.module else [module / alias.name for alias in node.names]
                for name in names:
                    assert name.with_suffix(".py") in files or name / "__init__.py" in files, (file, name)


def test_it_calls_for_nothing_that_the_registry_forbids():
    for file in published():
        if file.suffix != ".py":
            continue
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in FORBIDDEN, (file, node.lineno)
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & MODULES, (file, node.lineno)
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] not in MODULES, (file, node.lineno)


def test_the_project_is_described():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    project, comfy = data["project"], data["tool"]["comfy"]
    assert comfy["DisplayName"] and comfy["requires-comfyui"] and "comfy" not in project["name"]  # the registry's rule
    assert project["dependencies"] == [] and "Operating System :: OS Independent" in project["classifiers"]
    assert (ROOT / project["license"]["file"]).is_file()
    repository = project["urls"]["Repository"].removeprefix("https://github.com/")
    for name in ("Icon", "Banner"):
        assert (ROOT / comfy[name].removeprefix(f"https://raw.githubusercontent.com/{repository}/main/")).is_file()
    owned = {comfy["PublisherId"], repository.split("/")[0]}
    assert len(owned) == 1 or "OWNER" not in owned, "OWNER is replaced in one place and not in another"
    assert "OWNER" in owned or text.count("OWNER") == 1, "OWNER is left in one place"  # the comment's


def test_the_changelog_begins_with_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert headings[0] == f"## {version}"


@pytest.mark.parametrize("path", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda path: path.stem)
def test_a_template_tells_where_its_nodes_come_from(path):
    """So that ComfyUI can offer to install what is missing."""
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    workflow = json.loads(path.read_text(encoding="utf-8"))
    subgraphs = workflow.get("definitions", {}).get("subgraphs", [])
    kinds = {subgraph["id"] for subgraph in subgraphs} | {"MarkdownNote"}
    for node in (node for part in (workflow, *subgraphs) for node in part["nodes"] if node["type"] not in kinds):
        assert node["properties"]["cnr_id"] == (ours if node["type"].startswith("ConceptAttention") else "comfy-core"), node["type"]
