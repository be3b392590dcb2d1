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
    """A function of one of the browser's files, called with each of some arguments; then: a function of the file and what it gave."""
    if shutil.which("node") is None:
        pytest.skip("needs Node.js")

    def call(file, function, arguments, then="(file, it) => it"):
        shutil.copy(WEB / file, tmp_path / f"{file}.mjs")
        (tmp_path / "arguments.json").write_text(json.dumps(arguments))
        code = (
            f"import fs from 'fs'; import * as file from './{file}.mjs';"
            f"const calls = JSON.parse(fs.readFileSync('arguments.json')).map((them) => ({then})(file, file.{function}(...them)));"
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
        "rock #2",
        "sky#12 + ROCK #1 + rock #3 - c + d",
        "rock #2 + rock, c + d #4",
        "rock - sky #1, cat #2, rock #0",
        "* #2",
        "* - rock #1",
        "rock #1 + cat - sky #2",
    ]
    for text, read in zip(texts, called("selection.js", "read", [[text, NAMES, 4] for text in texts])):
        selections, unknown = select_known(maps, text)
        assert read["selections"] == [[*it.members, *(~place for place in it.less)] for it in selections], text
        assert read["unknown"] == [name for name in unknown if name], text
    read = called(
        "selection.js", "read", [[text, NAMES, 4] for text in texts], "(file, it) => it.selections.map((some) => some.things ?? [])"
    )
    assert read == [[[list(them) for them in it.things] for it in select_known(maps, text)[0]] for text in texts]
    assert read[-7][0] == [[2]]


def test_what_is_selected_is_written_so_that_it_is_read_again(called):
    made = Maps(torch.zeros(1, len(NAMES), 2, 2), NAMES, 4, True, (32, 32), 16)
    chosen = [[0], [3, 2], [1, 4, 0], [2, 4], [5, 6], [0, ~3], [1, 4, ~2, ~0]]
    written = called("selection.js", "write", [[places, NAMES] for places in chosen])
    for places, read in zip(chosen, called("selection.js", "read", [[text, NAMES, 4] for text in written])):
        assert read["unknown"] == [] and [sorted(places)] == [sorted(them) for them in read["selections"]]
    things = ["rock #2", "rock #2 + d + e #1 - c + d", "sky #3 + sky #1 + dragon"]
    again = called(
        "selection.js", "read", [[text, NAMES, 4] for text in things], f"(file, it) => file.write(it.selections[0], {list(NAMES)})"
    )
    for text, other in zip(things, again):
        (before,), (after,) = select_known(made, text)[0], select_known(made, other)[0]
        assert dict(zip(before.members, before.things)) == dict(zip(after.members, after.things)) and before.less == after.less


def test_the_same_small_parts_are_dropped(called):
    mask = np.random.default_rng(0).random((40, 50)) > 0.65
    (kept,) = called("masks.js", "withoutSmallParts", [[mask.ravel().astype(int).tolist(), 50, 0.01 * mask.size]])
    expected = without_small_parts(mask.astype(np.float32), 0.01)
    assert (
        np.array_equal(np.reshape([kept[str(place)] for place in range(mask.size)], mask.shape), expected)
        and 0 < expected.sum() < mask.sum()
    )
