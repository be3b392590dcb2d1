"""The benchmark's ways do what they stand for, and its command prints its table."""

import comfy.sample
import pytest
import torch
from concept_attention.benchmark import after, models, operations
from concept_attention.benchmark.command import main
from concept_attention.benchmark.measure import Cost, Sampling, nodes_time
from concept_attention.benchmark.steered import STEERED, draw_scores, steered
from concept_attention.benchmark.ways import model_of
from concept_attention.concept_core.record.live import Live
from concept_attention.concept_core.recording.prompt_words import word_maps


@pytest.fixture(scope="module", params=["flux-small", "sd3-small"])
def size(request):
    return models.SIZES[request.param]


def sampled(sampling, model):
    return comfy.sample.sample(
        model, sampling.noise, sampling.steps, 1.0, "euler", "simple", *sampling.prompts, sampling.latent, seed=0, disable_pbar=True
    )


def test_all_ways_see_the_same_picture(size):
    """Bitwise but for open attention; the authors' way has these nodes' scores, and keeps vectors of every block and step."""
    model, sampling, named = models.build(size), Sampling(size, size.side, 1, 2, 1.0), models.concepts(size, 3, 2)
    plain, heard, kept = sampled(sampling, model), {}, {}
    for way in ("nodes", "authors", "probabilities"):
        kept[way] = []
        patched, recording = model_of(way, model, named, size.prompt, kept[way])
        samples = sampled(sampling, patched)
        heard[way] = recording and list(recording.runs[-1].steps.values())
        torch.testing.assert_close(samples, plain, atol=1e-4 if way == "probabilities" else 0, rtol=0)
    assert len(heard["nodes"]) == 2
    for ours, theirs in zip(heard["nodes"], heard["authors"]):
        torch.testing.assert_close(ours["output"], theirs["output"], atol=1e-3, rtol=1e-4)
    depth = heard["nodes"][0]["output"].shape[0]
    assert kept["nodes"] == [] and len(kept["authors"]) == 2 * depth * 4
    tokens = (size.side // 16) ** 2
    assert {tuple(x.shape) for x in kept["probabilities"]} == {(1, tokens, size.prompt)}
    assert 0.05 < kept["probabilities"][0].sum(-1).mean() < 0.95  # the rest of the attention goes to the picture


def test_operations_that_a_block_gains():
    """On a GPU each is a kernel: what creeps in shows here. SD3's stream calls ComfyUI's own functions for a block's text."""
    added = {name: added for name, own, added in operations.rows()}
    assert added["flux, output"] <= 24 and added["sd3, output"] <= 28


def test_what_the_nodes_do_is_counted_as_theirs(size):
    """All operations but some on a sampling's latents, at its end, lie in the part of a sampling that is taken for the nodes'."""
    model, sampling = models.build(size), Sampling(size, size.side, 1, 2, 1.0)
    patched, _ = model_of("nodes", model, models.concepts(size, 3, 1), size.prompt, [])
    of_the_model, _ = operations.counted(sampling, model), sampling(patched)

    def done(count):
        return count.total() - count["empty"]  # which computes nothing

    with torch.no_grad(), operations.Operations() as counted, nodes_time(lambda: done(counted.count)) as theirs:
        sampling(patched)
    assert 0 <= done(counted.count) - sum(theirs) - done(of_the_model) <= 12 and sum(theirs) > 50


@pytest.mark.parametrize("node", STEERED)
def test_what_steers_is_counted_as_the_nodes(size, node):
    """All but some operations on latents; a region's own prompt is the model's part."""
    model = models.build(size)

    def counted(steering):
        sampling = Sampling(size, size.side, 1, 3, 1.0)
        patched, recording = model_of("nodes", model, models.concepts(size, 3, 1), size.prompt, [], observe=draw_scores)
        steering_model = steered(node, patched, recording, sampling, size)
        masks = Live.mask
        with torch.no_grad(), operations.Operations() as counted:
            with nodes_time(counted.count.total) as theirs, pytest.MonkeyPatch.context() as patch:
                if not steering:
                    still = torch.ones(1, *sampling.latent.shape[-2:]).tril()
                    patch.setattr(Live, "mask", lambda live, *args: still if live.receiver.heard else None)
                sampling(steering_model)
        assert Live.mask is masks
        return counted.count.total() - sum(theirs), sum(theirs)

    (with_still_mask, recorded), (with_live_mask, steered_and_recorded) = counted(False), counted(True)
    assert abs(with_live_mask - with_still_mask) <= 12 and steered_and_recorded > recorded + 50


def test_the_ratio_is_the_median():
    cost = Cost([1.02, 0.98, 1.5, 1.01, 1.0], 1.0, 0, 0)
    assert cost.ratio == 1.01 and cost.spread == (1.0, 1.02)


def test_the_command(capsys):
    threads = torch.get_num_threads()
    assert main(["flux-small", "--pairs", "1", "--steps", "1", "--one-thread", "--sweep", "concepts", "ways", "single_blocks"]) == 0
    torch.set_num_threads(threads)
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[1:] == ["4 concepts", "concepts 1", "concepts 16", "way authors", "way probabilities", "way words", "single_blocks True"]


def test_the_command_steers(capsys):
    threads = torch.get_num_threads()
    assert main(["flux-small", "--pairs", "1", "--steps", "2", "--one-thread", "--sweep", "steered"]) == 0
    torch.set_num_threads(threads)
    rows = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows[1:] == ["4 concepts", *(f"steered {node}" for node in STEERED)]
    with pytest.raises(SystemExit):
        main(["flux-small", "--sweep", "steered"])
    assert "steered: give it --one-thread too" in capsys.readouterr().err


def test_a_unet_has_daam_s_sums_and_their_words(capsys):
    """What the authors' way keeps of all heads and tokens gives these nodes' maps of words."""
    size = models.SIZES["sdxl-small"]
    model, sampling, kept = models.build(size), Sampling(size, size.side, 1, 2, 1.0), []
    plain = sampled(sampling, model)
    words = models.words(size, 2, 2, sampling.prompts[0])
    patched, recording = model_of("words", model, words, size.prompt, [])
    assert torch.equal(sampled(sampling, patched), plain)
    (step,) = recording.runs[0].steps.values()
    torch.testing.assert_close(sampled(sampling, model_of("probabilities", model, words, size.prompt, kept)[0]), plain, atol=1e-4, rtol=0)
    sums = [[layer.transpose(2, 3).unflatten(3, (side, side)) for layer, side in [(layer, round(layer.shape[2] ** 0.5))]] for layer in kept]
    expected = word_maps(sums, words.token_weights, recording.runs[0].grid[1:]).mean(0)
    torch.testing.assert_close(step["prompt words"].mean(0), expected, atol=1e-5, rtol=1e-3)


def test_what_comes_before_and_after(monkeypatch, capsys):
    monkeypatch.setattr(after, "CASES", ((128, 2),))
    monkeypatch.setattr(after, "TURNS", 1)
    assert main(["after"]) == 0
    said = capsys.readouterr().out
    assert "ComfyUI loads this pack, and nothing that was not there" in said
    assert sum(line.startswith("| 128 x 128, 2 concepts") for line in said.splitlines()) == 8 + len(after.DEAREST)


def test_a_recording_keeps_half_of_float32():
    """28 steps of 19 blocks, 8 concepts and 4096 tokens in at most 40 MB."""
    said = after.kept()
    assert "28 steps x 19 blocks x 8 concepts x 4096 tokens" in said and float(said.split("keeps ")[1].split()[0]) < 40
