"""Agreement with DAAM's own code on a Stable Diffusion 2 and an SDXL, through ComfyUI's guider and U-Net."""

import pytest
import tiny
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record import receiver
from concept_attention.concept_core.record.sampler import record_concepts
from concept_attention.concept_core.recording.prompt_words import word_maps
from probe import call_at
from reference import reference

MODELS = {"sd2": (tiny.sd2, "clip-h"), "sdxl": (tiny.sdxl, "clip-l and clip-g")}


@pytest.fixture(scope="module", params=MODELS)
def golden(request):
    return reference(f"daam_{request.param}")


def heard(golden, tokens, kind="", cfg=3.0, calls=2, **options):
    """(recording, samples, noise) of words of these tokens, the model called as DAAM's was. kind: "square_" for its other latents. calls:
    the last ones. options: as record_concepts has them."""
    load, encoder = MODELS[golden["family"]]
    model = load(golden["seed"])
    weights = torch.zeros(len(tokens), 77)
    for word, own in enumerate(tokens):
        weights[word, own] = 1 / len(own)
    names = tuple(f"word {number}" for number in range(len(tokens)))
    words = Concepts(names, len(names), encoder, golden["context"][1], weights, of_prompt="positive")
    patched, recording = record_concepts(model, words, **options)
    options = {}
    if golden["family"] == "sdxl":
        height, width, crop_h, crop_w, target_height, target_width = golden["time_ids"][1].tolist()
        options = dict(height=height, width=width, crop_h=crop_h, crop_w=crop_w, target_height=target_height, target_width=target_width)
    negative, positive = (
        [[golden["context"][row : row + 1], {**options, "pooled_output": golden["text_embeds"][row : row + 1] if options else None}]]
        for row in (0, 1)
    )
    sampling = model.get_model_object("model_sampling")
    sigmas = [float(sampling.sigmas[step]) for step in golden["timesteps"]]
    latents = [golden[f"{kind}x_{call}"] * (sigma**2 + 1) ** 0.5 for call, sigma in enumerate(sigmas)]
    latents, sigmas = latents[-calls:], sigmas[-calls:]
    with torch.no_grad():
        denoised, samples = call_at(patched, positive, latents, sigmas, negative, cfg)
    noise = [(latent - out) / sigma for latent, out, sigma in zip(latents, denoised, sigmas)]
    return recording, samples, noise


def assert_near(values, expected):
    assert (values - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("kind", ["", "square_"])
def test_the_model_is_the_same(golden, kind):
    noise = heard(golden, golden["word_tokens"], kind)[2]
    for call in range(2):
        negative, positive = golden[f"{kind}eps_{call}"]
        assert (noise[call] - (negative + 3 * (positive - negative))).abs().max() <= 1e-3  # three times the difference of both


def test_words(golden):
    recording, samples, _ = heard(golden, golden["word_tokens"])
    assert_near(decode(recording, samples, softmax=False).values[0], golden["words"])


def test_words_at_the_size_that_is_fixed_in_daam(golden, monkeypatch):
    """Of SDXL twice that of its finest layers here."""
    monkeypatch.setattr(receiver, "word_maps", lambda sums, weights, grid: word_maps(sums, weights, (64, 64)))
    recording, _, _ = heard(golden, golden["word_tokens"], "square_")
    (step,) = recording.runs[0].steps.values()
    assert_near(step["prompt words"].mean(0)[0].unflatten(1, (64, 64)), golden["square_words"])


def test_every_token_of_the_prompt(golden):
    recording, samples, _ = heard(golden, [[token] for token in range(golden["tokens"])])
    assert_near(decode(recording, samples, softmax=False).values[0], golden["global"])


def test_words_against_the_other_tokens(golden):
    """DAAM's `normalize` divides by all of the prompt's tokens but start and end. The softmax does, where all of them are named."""
    tokens = [[token] for token in range(1, golden["tokens"] - 1)]
    recording, samples, _ = heard(golden, tokens)
    probabilities = decode(recording, samples).values[0]
    words = [probabilities[[token - 1 for token in own]].mean(0) for own in golden["word_tokens"]]
    assert_near(torch.stack(words), golden["words_normalized"])


def test_the_authors_baseline_which_hears_half_of_the_heads(golden):
    """One call, without CFG: their code takes the second half of batch and heads for the prompt's row."""
    for later_heads in (True, False):
        recording, samples, _ = heard(golden, golden["word_tokens"], cfg=1.0, calls=1, later_heads=later_heads)
        difference = (decode(recording, samples, softmax=False).values[0] - golden["words_prompt_alone"]).abs().max()
        assert difference <= 1e-5 if later_heads else difference > 1e-3
