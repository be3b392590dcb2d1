"""Settings chosen by data: the figure is that of pictures which the choice has not seen, and nothing is shown to the model again for it."""

import json

import numpy as np
import pytest
from concept_attention.concept_core.maps.decode import decode
from concept_attention.evaluation import judging
from concept_attention.evaluation.command import job_of, parse, run
from concept_attention.evaluation.judging import Judge
from concept_attention.evaluation.models import Files, load
from concept_attention.evaluation.presets import block_choices, protocol_named, searched
from concept_attention.evaluation.search import mean_iou, search
from concept_attention.nodes.decode import Decode

PIXELS = 100


def drawn(accuracies, pictures, seed):
    """Two classes of PIXELS each; of every setting so large a part is right, by chance in each picture."""
    rng = np.random.default_rng(seed)
    right = rng.binomial(PIXELS, np.broadcast_to(np.array(accuracies)[:, None], (pictures, len(accuracies), 2)))
    wrong = PIXELS - right
    return np.stack([right, right + wrong[..., ::-1], np.full_like(right, PIXELS)], -1).astype(np.int32)


def test_iou_by_hand():
    sums = np.array([[3, 5, 4], [0, 0, 0], [2, 2, 4]])
    assert mean_iou(sums) == pytest.approx((3 / 6 + 2 / 4) / 2)


def test_of_equal_settings_the_best_is_flattered_and_the_honest_figure_is_not():
    """500 settings that are all right by half, where IoU is a third: the best of them seems to be more."""
    found = [search(drawn([0.5] * 500, 10, seed)) for seed in range(60)]
    truth = 1 / 3
    assert min(one.flattered[0] for one in found) > truth + 0.02
    assert np.mean([one.honest[0] for one in found]) == pytest.approx(truth, abs=0.005)
    assert sum(one.is_better for one in found) <= 9


def test_a_better_setting_is_found():
    found = search(drawn([0.5] * 30 + [0.7] + [0.5] * 30, 12, 1))
    assert (found.best, found.agreeing, found.folds, found.is_better) == (30, 5, 5, True)
    assert found.honest == found.flattered and found.honest[0] == pytest.approx(0.7 / 1.3, abs=0.02)


def test_what_is_judged_had_no_part_in_the_choice():
    """Two pictures, each with a setting that is perfect on it and all wrong on the other: every choice is wrong where it is judged."""
    perfect, wrong = [[100, 100, 100]] * 2, [[0, 100, 100]] * 2
    counts = np.array([[perfect, wrong], [wrong, perfect]], np.int32)
    found = search(counts)
    assert found.honest[0] == 0 and found.flattered[0] == pytest.approx(1 / 3) and found.folds == 2
    with pytest.raises(ValueError, match="give two or more"):
        search(counts[:1])


@pytest.mark.parametrize("depth", [1, 3, 6, 19, 57])
def test_blocks_that_are_tried(depth):
    choices = block_choices(depth)
    assert choices[0] == "auto" and f"0-{depth - 1}" in choices and len(set(choices)) == len(choices) <= 12
    covered = [block for choice in choices[1:] for block in range(int(choice.split("-")[0]), int(choice.split("-")[1]) + 1)]
    assert set(covered) == set(range(depth))


class Here:
    """Work is done in this process."""

    def share_out(self, make, shares):
        return map(make(), shares)


def test_a_search(tmp_path, monkeypatch, capsys):
    """Of three scenes: each is shown once at each level of noise, and Decode makes the maps that were judged of what is printed."""
    shown, encode_image = [], judging.encode_image
    monkeypatch.setattr(
        judging, "encode_image", lambda *args, **options: (shown.append(options["noise"]), encode_image(*args, **options))[1]
    )
    job = job_of(parse(["scenes", "--data", "3", "--search", "--out", str(tmp_path)]))
    assert run(job, Here()) == 0
    assert shown == pytest.approx([0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25, 0.15, 0.05] * 3)
    printed = capsys.readouterr().out
    node = json.loads((tmp_path / "decode.json").read_text())
    assert (tmp_path / "search.md").read_text().strip() in printed and "chosen on other pictures than it is judged on, 3 times" in printed
    assert all(f"    {name}: {value}" in printed for name, value in node["inputs"].items())
    assert {widget.id for widget in Decode.define_schema().inputs} == {"recording", "samples", "recording_before", *node["inputs"]}
    assert Decode.validate_inputs(**{name: node["inputs"][name] for name in ("blocks", "start_percent", "end_percent")}) is True

    protocol = protocol_named("scenes", {})
    judge, sample = Judge(*load(Files("flux", "demo")), job.open_data()), job.open_data().read(0)
    (best,) = (variant for variant in searched(protocol, 6).values() if variant.decoding().items() <= node["inputs"].items())
    ((_, _, maps, *_),) = judge.predicted(sample, {"": best})
    recording, latent, _, _ = judge.record(sample, best)
    assert (decode(recording, latent, **node["inputs"]).values == maps.values).all() and len(recording.runs[0].steps) == 10


def test_not_beside_an_ablation():
    with pytest.raises(ValueError, match="leave --vary out"):
        job_of(parse(["scenes", "--search", "--vary", "spaces"]))
