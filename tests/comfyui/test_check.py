"""The report card: true numbers, a page that tells nothing of whose it is, and no model that stops the others."""

import getpass
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy_server import link_pack
from concept_attention.check import every_model
from concept_attention.check.card import Settings, card_of
from concept_attention.check.command import Options, parse
from concept_attention.check.every_model import OF_DEMO, run
from concept_attention.check.measure import StepClock, peak_of
from concept_attention.check.page import verdict
from concept_attention.check.private import without_folders
from concept_attention.check.scores import by_block
from concept_attention.concept_core.api import Loaded
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.recording.recording import Recording, Run
from concept_attention.demo_model import DEMO_FAMILIES

QUICK = dict(prompts=1, steps=3, side=64, files=False)


def report(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8")), (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def broken_among_others(tmp_path_factory):
    """(exit code, JSON, HTML) of the three demo models, of which the second runs out of memory in its last step."""
    out = tmp_path_factory.mktemp("jane-doe-report")
    with pytest.MonkeyPatch.context() as patch:
        family = DEMO_FAMILIES["sd3"]
        patch.setitem(DEMO_FAMILIES, "sd3", type(family)(lambda: starved(family.load_model()), family.load_clip, family.latent_format))
        code = run(Options(**QUICK, out=out))
    return code, *report(out)


def starved(model):
    model = model.clone()

    def raising(executor, *args, **kwargs):
        raise torch.OutOfMemoryError(f"out of memory, as {Path.home()}/ComfyUI models/main.py and C:\\Users\\jane doe\\x.py found")

    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "starved", raising)
    return model


def test_one_model_s_failure_stops_no_other(broken_among_others):
    code, told, html = broken_among_others
    assert code == 0  # of those that were sampled
    assert [entry["model"] for entry in told["models"]] == [f"demo model, {name}" for name in DEMO_FAMILIES]
    flux, sd3, video = told["models"]
    assert sd3["failed"].startswith("OutOfMemoryError: out of memory") and sd3["failed"] in html
    for entry in (flux, video):
        assert entry["same_latent"] and entry["model_repeats_itself"] and entry["largest_difference"] == 0
        assert entry["step_ratio"] > 0 and entry["peak_ratio"] > 0 and entry["kept_bytes"] > 1000
        assert [len(entry["all_step_seconds"][way]) for way in ("with", "without")] == [2, 2]
    assert video["settings"]["frames"] == 13


def test_the_page_holds_its_pictures_and_loads_nothing(broken_among_others):
    _, told, html = broken_among_others
    assert set(re.findall(r"src='([^,']*)", html)) == {"data:image/jpeg;base64"}
    assert "http" not in html and "<script" not in html and "<link" not in html
    flux = html.split("<h2>")[1]
    settings = re.findall(r"<tr><th>([^<]*)</th><td><img", flux)
    assert settings[0] == "default" and {"all blocks", "all steps", "temperature 0.5", "temperature 2"} < set(settings)
    assert flux.count("alt='map'") == len(settings) * 5  # concepts
    assert flux.count("alt='painted'") == 1 and html.split("<h2>")[2].count("alt='painted'") == 3  # frames of the clip


def test_nothing_tells_whose_machine_it_was(broken_among_others):
    """No folder, user or machine: not of the pack, ComfyUI, Python, the report itself, or what an error says."""
    _, told, html = broken_among_others
    for text in (json.dumps(told), re.sub(r"base64,[^']*", "", html)):
        for secret in (
            str(Path.home()),
            "jane",
            "/tmp",
            "pytest-of",
            str(Path(__file__).parents[2]),
            os.environ["COMFYUI_PATH"],
            "site-packages",
        ):
            assert secret not in text, secret
        for secret in (platform.node(), getpass.getuser()):
            assert not re.search(rf"\b{re.escape(secret)}\b", text), secret


@pytest.mark.parametrize(
    "text, left",
    [
        ("could not read /srv/models of jane/checkpoints/x.safetensors: no", "could not read x.safetensors: no"),
        ("could not read /srv/models of jane/x.safetensors", "could not read x.safetensors"),
        ("[Errno 2] '/mnt/d/jane/vae/ae.safetensors'", "[Errno 2] 'ae.safetensors'"),
        (r"'D:\\models\\jane\\ae.safetensors'", "'ae.safetensors'"),
        (r"in C:\Users\jane\x.py, line 3", "in x.py, line 3"),
        (r"\\server\jane\x.py", "x.py"),
        (f"{Path.home()}/x.py and {Path.home()}", "x.py and /-"),
        ("see https://github.com/a/b", "see https://github.com/a/b"),
        ("shapes 3/4 and [1, 2]: and/or", "shapes 3/4 and [1, 2]: and/or"),
    ],
)
def test_texts_lose_their_folders(text, left):
    assert without_folders(text, ("/srv/models of jane",)) == left


def another_picture(model):
    """A clone that draws other noise in every sampling."""
    model, generator = model.clone(), torch.Generator().manual_seed(0)  # ComfyUI seeds PyTorch's own anew

    def noisy(executor, noise, *args, **kwargs):
        return executor(noise + 0.01 * torch.randn(noise.shape, generator=generator), *args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "noisy", noisy)
    return model


def test_a_picture_that_changes_is_said_so(monkeypatch):
    """Whether by the nodes or by a model that never gives the same twice."""
    loaded, settings = Loaded(*DEMO_FAMILIES["flux"].load()), Settings(64, 2, 2.0)
    restless = card_of(loaded._replace(model=another_picture(loaded.model)), settings, OF_DEMO[:1], lambda text: None).numbers()
    assert not restless["same_latent"] and not restless["model_repeats_itself"] and restless["largest_difference"] > 0
    assert "the model alone does not repeat itself" in verdict(restless)

    from concept_attention.check import card

    def meddling(model, concepts, record=card.record_concepts):
        recorded, recording = record(model, concepts)
        return another_picture(recorded), recording

    monkeypatch.setattr(card, "record_concepts", meddling)
    changed = card_of(loaded, settings, OF_DEMO[:1], lambda text: None).numbers()
    assert not changed["same_latent"] and changed["model_repeats_itself"]
    assert "differs by up to" in verdict(changed) and "alone" not in verdict(changed)


def test_spread_and_saturation_by_hand():
    """Two concepts that lie d apart at every token have a spread of d / 2, and the higher one a share of 1 / (1 + exp(-d))."""
    apart = torch.tensor([0.0, 2.0, 10.0, -10.0])  # by block
    scores = torch.stack([apart, torch.zeros(4)], 1)[:, None, :, None].expand(4, 1, 2, 6)
    samples = torch.randn(1, 16, 4, 6)
    run_of_it = Run(1, (1, 4, 6), (1, 2, 3), (32, 48), lambda percent: 1 - percent, {1.0: {"output": scores}}, latents=[samples])
    concepts = Concepts(("a", "b"), 2, "t5", torch.zeros(2, 8), torch.eye(2))
    told = by_block(Recording(concepts, ("output",), 4, range(2, 3), 16, [run_of_it]), samples, "b")
    assert told["spread"][0] == pytest.approx([0.0, 1.0, 5.0, 5.0], abs=1e-9) and told["highest"] == [[0.0, 2.0, 10.0, 10.0]]
    assert told["alone"] == [[0.0, 0.0, 1.0, 1.0]] and told["grey"] == [[1.0, 0.0, 0.0, 0.0]]
    assert told["agrees"][0][1:] == [1.0, 1.0, 0.0] and told["sigmas"] == [1.0]  # the default maps are of block 2
    assert told["presence"]["a"] == 1.0 and told["presence"]["b"] < 1e-3 and told["absent"] == "b"


def test_steps_and_memory_are_measured():
    clock = StepClock()
    clock.ticks = [0.0, 5.0, 6.0, 8.0]
    assert clock.steps == [1.0, 2.0]
    clock.ticks = [0.0, 5.0]
    assert clock.steps == [5.0]
    held = []
    peak = peak_of(lambda: held.append(torch.ones(512 << 20, dtype=torch.uint8)))
    assert peak.highest - peak.before > 200 << 20  # the rest may lie in what other tests have given back to this process


def test_what_is_asked_for():
    options, rest = parse(["--steps", "4", "--lowvram", "--base-directory", "x", "--no-demo", "--only", "flux"])
    assert (options.only, options.steps, options.demo, options.files) == (("flux",), 4, False, True)
    assert rest == ["--lowvram", "--base-directory", "x"]
    with pytest.raises(SystemExit):
        parse(["--prompts", "9"])
    assert every_model.is_asked_for("Flux1-dev.safetensors", options) and not every_model.is_asked_for("sd3.safetensors", options)


@pytest.mark.long
def test_it_runs_from_comfyui_s_folder_without_run_py(tmp_path):
    """As a user of the published pack starts it; ComfyUI's own options reach ComfyUI, and model folders of its extra paths are seen."""
    link_pack(tmp_path / "custom_nodes")
    extra = tmp_path / "elsewhere" / "checkpoints"
    extra.mkdir(parents=True)
    (extra / "mine.safetensors").write_bytes(b"nothing")
    (tmp_path / "extra.yaml").write_text(f"mine:\n  base_path: {tmp_path / 'elsewhere'}\n  checkpoints: checkpoints\n")
    (tmp_path / "base").mkdir()
    command = [sys.executable, "-m", "custom_nodes.concept-attention.check", "--cpu", "--base-directory", tmp_path / "base"]
    command += [
        "--extra-model-paths-config",
        tmp_path / "extra.yaml",
        "--prompts",
        "1",
        "--steps",
        "2",
        "--size",
        "64",
        "--only",
        "mine",
        "sd3",
    ]
    variables = {**os.environ, "PYTHONPATH": os.environ["COMFYUI_PATH"], "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(part) for part in command], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 models of 4 are looked at" in done.stdout and "2 of 2: mine.safetensors\n  not run: it cannot be read" in done.stdout
    told, html = report(tmp_path / "concept_check")
    assert [entry["model"] for entry in told["models"]] == ["demo model, sd3", "mine.safetensors"]
    assert told["models"][0]["same_latent"] and str(tmp_path) not in json.dumps(told) + html
