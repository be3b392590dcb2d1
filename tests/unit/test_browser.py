"""What the browser computes by itself is what Python computes."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.maps.selection import select_known
from concept_attention.concept_core.masks.morphology import without_small_parts

WEB = Path(__file__).parents[2] / "web" / "explorer"
NAMES = ("dragon", "rock", "c + d", "sky", "d + e", "Bill", "bill")


@pytest.fixture
def called(tmp_path):
    """A function of one of the browser's files, called with each of some arguments."""
    if shutil.which("node") is None:
        pytest.skip("needs Node.js")

    def call(file, function, arguments):
        shutil.copy(WEB / file, tmp_path / f"{file}.mjs")
        (tmp_path / "arguments.json").write_text(json.dumps(arguments))
        code = (
            f"import fs from 'fs'; import {{ {function} }} from './{file}.mjs';"
            f"const calls = JSON.parse(fs.readFileSync('arguments.json')).map((them) => {function}(...them));"
            "console.log(JSON.stringify(calls))"
        )
        (tmp_path / "call.mjs").write_text(code)
        return json.loads(subprocess.run(["node", "call.mjs"], cwd=tmp_path, capture_output=True, check=True, text=True).stdout)

    return call


def test_a_text_selects_the_same_concepts(called):
    maps = Maps(torch.zeros(1, len(NAMES), 2, 2), NAMES, 4, True, (32, 32), 16)
    texts = [
        "",
        " , ",
        "*",
        "Rock",
        "rock + Dragon, sky\nrock",
        "c + d + sky",
        "c + d + e",
        "cat + rock, dog",
        "BILL",
        "Bill, bill",
        "rock +",
        "rock - sky",
        "c + d - d + e + rock - SKY",
        "rock-sky",
        "cat - rock, dragon - cat",
        "- rock",
        "*, sky",
        "* - rock - c + d",
        "* + rock",
        "rock - *",
        "* - cat",
        "rock - rock - rock",
    ]
    for text, read in zip(texts, called("selection.js", "read", [[text, NAMES, 4] for text in texts])):
        selections, unknown = select_known(maps, text)
        assert read["selections"] == [[*it.members, *(~place for place in it.less)] for it in selections], text
        assert read["unknown"] == [name for name in unknown if name], text


def test_what_is_selected_is_written_so_that_it_is_read_again(called):
    chosen = [[0], [3, 2], [1, 4, 0], [2, 4], [5, 6], [0, ~3], [1, 4, ~2, ~0]]
    written = called("selection.js", "write", [[places, NAMES] for places in chosen])
    for places, read in zip(chosen, called("selection.js", "read", [[text, NAMES, 4] for text in written])):
        assert read["unknown"] == [] and [sorted(places)] == [sorted(them) for them in read["selections"]]


def test_the_same_small_parts_are_dropped(called):
    mask = np.random.default_rng(0).random((40, 50)) > 0.65
    (kept,) = called("masks.js", "withoutSmallParts", [[mask.ravel().astype(int).tolist(), 50, 0.01 * mask.size]])
    expected = without_small_parts(mask.astype(np.float32), 0.01)
    assert (
        np.array_equal(np.reshape([kept[str(place)] for place in range(mask.size)], mask.shape), expected)
        and 0 < expected.sum() < mask.sum()
    )
