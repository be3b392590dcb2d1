"""The linter, the formatter and the type checker have nothing to say."""

import subprocess
import sys
from pathlib import Path

import npm
import pytest

ROOT = Path(__file__).parents[2]


def said(*command, folder=ROOT):
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize("command", [("check", "."), ("format", "--check", ".")], ids=" ".join)
def test_ruff(command):
    assert said("ruff", command[0], "--no-cache", *command[1:]) == ""


def test_biome():
    """Of web/, which the browser runs as it is."""
    program = npm.biome()
    if program is None:
        pytest.skip("needs npm")
    done = subprocess.run([program, "lint", "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types(tmp_path):
    """In a folder whose name is a package's, whatever this clone is called."""
    (tmp_path / "concept_attention").symlink_to(ROOT, target_is_directory=True)
    checked = ["concept_attention/concept_core", "concept_attention/nodes", "concept_attention/check"]
    assert said("mypy", "--config-file", str(ROOT / "pyproject.toml"), *checked, folder=tmp_path) == ""
