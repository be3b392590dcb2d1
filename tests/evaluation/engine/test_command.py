"""The command, with the processes that it starts."""

import csv
import json

import pytest
from concept_attention.evaluation.command import main, parse


def test_a_run_goes_on_where_it_stopped(tmp_path, capsys, cluster):
    """Alone, then on a cluster, and with a line that was cut short; then its table, figures and pictures are there."""
    out = tmp_path / "run"
    arguments = ["scenes-single", "--data", "4", "--vary", "blocks", "--out", str(out), "--sheets", "2"]
    assert main([*arguments, "--limit", "1"]) == 0
    (part,) = out.glob("part-*.jsonl")
    kept = part.read_text()
    part.write_text(kept + '{"id": "900000014", "varia')
    assert main([*arguments, "--processes", "1", "--address", cluster.address]) == 0
    printed = capsys.readouterr().out
    assert "4 pictures, 1 of them done before" in printed and part.read_text().startswith(kept)
    assert [len(p.read_text().splitlines()) for p in sorted(out.glob("part-*.jsonl"))] == [1 + 1, 3]
    table = (out / "table.md").read_text()
    assert table.strip() in printed and len(table.splitlines()) == 2 + 6
    figures = json.loads((out / "figures.json").read_text())["figures"]
    assert figures["5"]["accuracy"] > 0.9 and set(figures) == set("012345")
    rows = list(csv.DictReader((out / "pictures.csv").open()))
    assert {row["variant"] for row in rows} == set("012345") and len({row["picture"] for row in rows}) == 4
    assert all(int(row["right"]) <= min(int(row["predicted"]), int(row["labelled"])) for row in rows)
    assert {path.name for path in out.iterdir()} >= {"curve.png", "sheet_001.jpg", "run.json"}
    with pytest.raises(SystemExit, match=r"holds another run \(protocol.noise differ\)"):
        main([*arguments, "--set", "noise=0.3"])


def test_options_that_are_given_twice_add_up():
    args = parse(["scenes", "--set", "noise=0.3", "--set", "samples=2", "--clip", "a", "--clip", "b", "c"])
    assert args.set == ["noise=0.3", "samples=2"] and args.clip == ["a", "b", "c"]


def test_a_worker_that_fails_says_where(tmp_path, cluster):
    arguments = ["scenes", "--data", "1", "--out", str(tmp_path), "--address", cluster.address]
    with pytest.raises(SystemExit, match=r"(?s)A worker failed.*missing\.safetensors"):
        main([*arguments, "--unet", "missing.safetensors"])
    with pytest.raises(SystemExit, match=r"\AThere are demo models of flux and sd3 alone"):
        main([*arguments, "--family", "qwen-image"])  # into the same folder, which holds no result yet


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["imagenet"], "imagenet needs --data"),
        (["scenes", "--set", "noize=1"], "There is no knob noize"),
        (["voc-multi", "--data", "nowhere"], "There is no nowhere"),
    ],
)
def test_what_cannot_be_run_says_so(tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        main([*arguments, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
