"""docs/concept_attention.ipynb, run from top to bottom in a kernel of its own."""

import base64
import os
from io import BytesIO

import numpy as np
import pytest
from comfy_server import ROOT
from PIL import Image

FILE = ROOT / "docs" / "concept_attention.ipynb"
LARGEST = 400_000  # bytes


@pytest.fixture(scope="module")
def committed():
    nbformat = pytest.importorskip("nbformat")
    return nbformat.read(FILE, as_version=4)


@pytest.fixture(scope="module")
def executed(committed, request, tmp_path_factory):
    import nbformat
    from nbclient import NotebookClient

    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        run = NotebookClient(
            nbformat.from_dict(committed), timeout=300, kernel_name="python3", resources={"metadata": {"path": FILE.parent}}
        )
        notebook = run.execute()
    for cell in notebook.cells:
        cell.metadata.clear()  # of times
        if cell.cell_type == "code":  # warnings are of this machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    if request.config.getoption("write_pictures"):
        nbformat.write(notebook, FILE)
    return notebook


@pytest.mark.long
def test_it_runs_and_says_what_it_said(executed, committed):
    """Text letter by letter, and pictures but for rounding."""
    for now, then in zip(executed.cells, committed.cells, strict=True):
        if now.cell_type == "code":
            assert said(now) == said(then), now.source
            for picture, same in zip(pictures(now), pictures(then), strict=True):
                assert picture.shape == same.shape and np.abs(picture - same).mean() < 4


def test_it_is_small_and_says_nothing_of_this_machine(committed):
    """Looked at by eye; what it shows stands in the file, so that it is seen where notebooks are only looked at."""
    assert FILE.stat().st_size < LARGEST
    text = FILE.read_text(encoding="utf-8")
    assert str(ROOT) not in text and os.environ["COMFYUI_PATH"] not in text and os.path.expanduser("~") not in text
    assert "the same picture: True" in "".join(said(cell) for cell in committed.cells if cell.cell_type == "code")
    assert sum(len(pictures(cell)) for cell in committed.cells if cell.cell_type == "code") == 4


def said(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == "stdout")


def pictures(cell):
    data = [output.data["image/jpeg"] for output in cell.outputs if "image/jpeg" in output.get("data", {})]
    return [np.asarray(Image.open(BytesIO(base64.b64decode(one))), dtype=np.float32) for one in data]
