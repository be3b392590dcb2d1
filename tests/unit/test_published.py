"""What the registry publishes: the tracked files but those that .comfyignore names."""

import ast
import subprocess
from pathlib import Path

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
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    comfy = project["tool"]["comfy"]
    assert comfy["PublisherId"] and comfy["DisplayName"] and comfy["requires-comfyui"] and project["project"]["version"]
    assert (ROOT / comfy["Icon"]).is_file() and (ROOT / comfy["Banner"]).is_file()
    assert project["project"]["dependencies"] == [] and "Operating System :: OS Independent" in project["project"]["classifiers"]
    assert (ROOT / project["project"]["license"]["file"]).is_file()
