"""Whole pipelines from the original files to figures, with the demo model, and what each knob does."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tiny
import torch
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.evaluation import judging
from concept_attention.evaluation.judging import Judge, cut, prompt_of, resized, resized_labels
from concept_attention.evaluation.models import Files, depth_of, load
from concept_attention.evaluation.presets import protocol_named, variants_of
from kinds import made
from PIL import Image

GROUNDS = ["grass", "sand", "water", "snow", "brick"]
SMALL = {"resize": ["256x256 bicubic"], "background": GROUNDS, "blocks": "auto", "noise": 0.2, "samples": 1, "as_authors": False}


@pytest.fixture(scope="module", params=["flux", "sd3"])
def loaded(request):
    return load(Files(request.param, "demo"))


def judged(loaded, opened, name, index, ablation=None, **changes):
    protocol, data = opened(name, **changes)
    return Judge(*loaded, data).judge(data.read(index), variants_of(protocol, ablation, depth_of(loaded[0])))


def right(result):
    return sum(result["counts"]["right"]) / sum(result["counts"]["labelled"])


@pytest.mark.parametrize("name", ["imagenet", "voc-single", "folder"])
def test_real_layouts_to_figures(loaded, opened, name):
    """The protocols as they are, but for what only a full-size model can do."""
    changes = SMALL | {"prompt": "a {}", "names": ["heart"] * 20}
    (result,) = judged(loaded, opened, name, 0, **changes, tokens="all tokens").values()
    assert right(result) > 0.85
    assert result["precision"][1][0] > 0.85


def test_voc_multi(loaded, opened):
    protocol, data = opened("voc-multi", **SMALL, names=["star"] * 6 + ["triangle"] + ["heart"] * 13)
    sample = data.read(3)
    (result,) = Judge(*loaded, data).judge(sample, {"": protocol}).values()
    assert sum(result["counts"]["labelled"]) + sum(result["counts"]["void"]) == 64 * 64
    assert set(result["precision"]) == {7, 20} and np.nonzero(result["counts"]["predicted"])[0].tolist() in ([0, 7, 20], [0, 7], [0, 20])


def test_scenes(loaded, opened):
    for name in ("scenes", "scenes-single"):
        assert np.mean([right(*judged(loaded, opened, name, index).values()) for index in range(3)]) > 0.93


def test_edges(loaded, opened):
    kinds = {kind: [right(*judged(loaded, opened, "scenes", i, upsample=kind).values()) for i in range(3)] for kind in ("smooth", "edges")}
    assert np.mean(kinds["edges"]) > 0.99 > np.mean(kinds["smooth"])


def test_absent_concepts(loaded, opened):
    results = judged(loaded, opened, "scenes", 1, "absent")
    words = results["2 absent ones too"]["presence"]
    assert [there for _, there, _ in words][-2:] == [False, False] and all(there for _, there, _ in words[:-2])
    assert len({word for word, _, _ in words}) == len(words)
    assert results["present only"]["presence"] == [] or all(there for _, there, _ in results["present only"]["presence"])


def test_ablations_are_of_one_recording_or_of_their_own(loaded, opened, monkeypatch):
    recorded = []
    record = Judge.record
    monkeypatch.setattr(Judge, "record", lambda self, sample, protocol: (recorded.append(protocol), record(self, sample, protocol))[1])
    for ablation, count in (("spaces", 1), ("blocks", 1), ("attention", 4)):
        recorded.clear()
        results = judged(loaded, opened, "scenes-single", 0, ablation)
        assert len(recorded) == count and len({str(result["counts"]) for result in results.values()}) > 1, ablation
    assert right(results["both"]) > right(results["neither"])


def test_words_and_prompts_are_encoded_once(loaded, opened, monkeypatch):
    """Three pictures with one caption, though another picture has another."""
    protocol, data = opened("scenes-single", prompt="{caption}")
    read, encode, words = [], loaded[1].encode_from_tokens_scheduled, []
    monkeypatch.setattr(loaded[1], "encode_from_tokens_scheduled", lambda tokens: (read.append(1), encode(tokens))[1])
    monkeypatch.setattr(judging, "encode_concepts", lambda *args, **options: (words.append(args[1]), encode_concepts(*args, **options))[1])
    judge, sample = Judge(*loaded, data), data.read(0)
    maps = [decode(*judge.record(replace(sample, caption=caption), protocol)[:2]).values for caption in ("a heart", "a star", "a heart")]
    assert words == ["heart"] and len(read) == 2
    assert torch.equal(maps[0], maps[2]) and not torch.equal(maps[0], maps[1])


class TestCut:
    """On a map of 2 x 2 tokens, its target first."""

    values = torch.tensor([[[[0.1, 0.6], [0.4, 0.3]], [[0.2, 0.3], [0.35, 0.7]]]])
    maps = Maps(values, ("a", "b"), 1, True, (32, 32), 16)
    picture = torch.zeros(1, 32, 32, 3)

    def cut(self, size=(4, 4), words=(("a", 1),), **changes):
        return cut(self.maps, list(words), self.picture, size, protocol_named("scenes-single", changes))

    def test_mean(self):
        scores, predicted = self.cut()
        assert predicted.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]
        assert scores[0][0].tolist() == pytest.approx([0.1, 0.1, 0.6, 0.6])

    def test_argmax(self):
        _, predicted = self.cut((2, 2), cut="argmax")
        assert predicted.tolist() == [[0, 1], [1, 0]]
        _, predicted = self.cut((2, 2), [("a", 7), ("b", 3)], cut="argmax")
        assert predicted.tolist() == [[3, 7], [7, 3]]

    def test_blur(self):
        """3 x 3 over reflected borders, as the authors blur."""
        scores, _ = self.cut((2, 2), blur=1.0)
        side = np.exp(-0.5) / (1 + 2 * np.exp(-0.5))
        rows = np.array([[1 - 2 * side, 2 * side], [2 * side, 1 - 2 * side]])
        np.testing.assert_allclose(scores[0], rows @ self.values[0, 0].numpy() @ rows.T, atol=1e-6)


def test_pictures_are_resized_as_told():
    picture = Image.new("RGB", (500, 375))
    assert resized(picture, ("512x512 bicubic", "1024x1024 nearest")).size == (1024, 1024)
    assert resized(picture, ("fit 1024 bicubic",)).size == (1024, 768)
    assert resized(picture, ("128x256 nearest",)).size == (256, 128)
    assert resized_labels(np.arange(6, dtype=np.uint8).reshape(2, 3), 6)[:, 0].tolist() == [0, 0, 0, 3, 3, 3]


def test_sides_that_tokens_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="leaves 375 x 500 pixels"):
        resized(Image.new("RGB", (500, 375)), ())


def test_words_that_cannot_be_told_apart_are_refused(loaded, opened):
    for names in (["heart"] * 20, ["heart, red"] * 7 + ["star"] * 13):
        with pytest.raises(ValueError, match="should be different words without commas"):
            protocol, data = opened("voc-multi", **SMALL, names=names)
            Judge(*loaded, data).judge(data.read(3), {"": protocol})


def test_prompts(opened):
    _, data = opened("voc-multi")
    sample = data.read(3)
    assert prompt_of(sample, "a {}") == "a car,a monitor" and prompt_of(sample, "") == "" and prompt_of(sample, "a photo") == "a photo"


def test_a_model_of_another_family_is_refused(tmp_path, monkeypatch):
    import comfy.sd
    from concept_attention.demo_model import DEMO_FAMILIES

    monkeypatch.setattr(comfy.sd, "load_diffusion_model", lambda path: DEMO_FAMILIES["sd3"].load_model())
    with pytest.raises(ValueError, match="The model is of SD3 and SD3.5.*give its --family"):
        load(Files("flux", "demo", unet="sd3.safetensors"))


def test_a_part_that_is_missing_is_named():
    with pytest.raises(ValueError, match="There is no unet in what was given: add --unet"):
        load(Files("flux"))


@pytest.mark.parametrize("name", ["scenes", "scenes-single"])
def test_words_of_the_prompt(loaded, opened, name):
    """DAAM lists what is named behind the prompt, so that it finds what the prompt itself does not name."""
    results = [judged(loaded, opened, name, index, method="daam", space="auto") for index in range(3)]
    assert np.mean([right(*result.values()) for result in results]) > 0.5
    baselines = judged(loaded, opened, name, 0, "baselines")
    assert set(baselines) == set(variants_of(opened(name)[0], "baselines", 3)) and right(baselines["ConceptAttention"]) > 0.93
    assert len({str(result["counts"]) for result in baselines.values()}) >= 4  # of SD3 auto are all blocks
    if name == "scenes":
        assert set(judged(loaded, opened, name, 0, "words")) == set(variants_of(opened(name)[0], "words", 3))
    else:
        with pytest.raises(ValueError, match="is not in the prompt. Its words are:"):
            judged(loaded, opened, name, 0, method="prompt words", space="auto")
    with pytest.raises(ValueError, match="is for SD2 and SDXL"):
        judged(loaded, opened, name, 0, method="daam as published", space="auto")


class OfOneWidth:
    """In a VAE's place: random latents."""

    def encode(self, picture):
        return torch.randn(1, 4, *(side // 8 for side in picture.shape[1:3]), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "load", "load_clip"), [("sd2", tiny.sd2, tiny.clip_h), ("sdxl", partial(tiny.sdxl, context=128, pooled=64), tiny.sdxl_clip)]
)
def test_daam_as_meant_and_as_published(opened, name, load, load_clip):
    """As published half of the heads are heard, and SD2's words are looked for in another prompt than the model's."""
    clip = load_clip()
    protocol, data = opened("scenes-single", background=["grass", "sand"], prompt="a {}")
    judge, found = Judge(load(), clip, OfOneWidth(), data), {}
    for variant, changed in variants_of(protocol, "daam", 0).items():
        recording, latent, _, words = judge.record(data.read(0), changed)
        found[variant] = recording, decode(recording, latent, softmax=False).values
        assert recording.concepts.names == (words[0][0], "grass", "sand") and recording.concepts.num_shown == 1
    (meant, maps), (published, others) = found.values()
    places = [concepts.token_weights[0].nonzero()[:, 0].tolist() for concepts in (meant.concepts, published.concepts)]
    assert (maps - others).abs().max() > 1e-4 and published.later_heads and not meant.later_heads
    if name == "sdxl":
        assert places[0] == places[1] and len(places[0]) == 2  # in the caption and in the list
    else:
        own = clip.tokenize(f"a {words[0][0]}")["h"][0]
        end = next(place for place, (token, _) in enumerate(own) if place and token == 49407)
        assert min(places[1]) >= end  # behind the caption's own end


def test_more_names_than_a_prompt_has_room_for(opened):
    protocol, data = opened("scenes-single", background=[f"thing{number} of many" for number in range(30)], method="daam as published")
    judge = Judge(made("sd2").model, tiny.clip_h(), OfOneWidth(), data)
    with pytest.raises(ValueError, match="more names than SD2's baseline has room for"):
        judge.record(data.read(0), protocol)
