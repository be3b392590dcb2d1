"""Words of the prompt as concepts: which tokens they are, and what is recorded of them. Their numbers: tests/golden/."""

from functools import cache

import pytest
import tiny
import torch
from comfy_extras.nodes_model_downscale import PatchModelAddDownscale
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.families.encode_prompt_words import encode_prompt_words
from concept_attention.concept_core.families.unet import transformers_of
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.encode_image import encode_image
from concept_attention.concept_core.record.receiver import Receiver
from concept_attention.concept_core.record.sampler import record_concepts
from concept_attention.concept_core.storage.files import load_recording, save_recording
from concept_attention.demo_model import DEMO_FAMILIES
from kinds import made

PROMPT = "a fluffy cat, a (red:1.3) dog and another Cat on grass."
clip = cache(tiny.clip_l)


def tokens_of(words, text=PROMPT):
    """word → which of the prompt's tokens it is."""
    encoded = encode_prompt_words(clip(), text, words)
    return {name: weights.nonzero()[:, 0].tolist() for name, weights in zip(encoded.names, encoded.token_weights)}


def prompt(text):
    return clip().encode_from_tokens_scheduled(clip().tokenize(text))


def record(words="cat, dog, grass", text=PROMPT, model=None, **options):
    return record_concepts(model or made("sd15").model, encode_prompt_words(clip(), text, words), **options)


def test_words_are_found_as_people_write_them():
    assert tokens_of("cat, dog, red, fluffy cat") == {"cat": [3, 10], "dog": [7], "red": [6], "fluffy cat": [2, 3]}
    assert tokens_of("") == {"fluffy": [2], "cat": [3, 10], "red": [6], "dog": [7], "grass": [12]}
    assert tokens_of("cat, CAT") == {"cat": [3, 10]}
    assert tokens_of("zorblax", "a zorblax") == {"zorblax": [2, 3, 4]}
    encoded = encode_prompt_words(clip(), PROMPT, "cat")
    assert torch.equal(encoded.embeddings, prompt(PROMPT)[0][0][0]) and encoded.token_weights[0, [3, 10]].tolist() == [0.5, 0.5]


def test_words_beyond_the_first_77_tokens():
    (places,) = tokens_of("dragon", "a very long text " * 25 + "dragon").values()
    assert len(places) == 1 and 77 < places[0] < 154


def test_an_embedding_is_called_by_its_name(tmp_path, monkeypatch):
    torch.save({"emb_params": torch.randn(2, 64)}, tmp_path / "thing.pt")
    monkeypatch.setattr(clip().tokenizer.clip_l, "embedding_directory", [str(tmp_path)])
    monkeypatch.setattr(clip().tokenizer.clip_l, "embedding_size", 64)
    text = "a photo of embedding:thing, on grass"
    (places,) = tokens_of("embedding:thing", text).values()
    assert len(places) == 2 and "embedding:thing" in tokens_of("", text)


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        ("horse", PROMPT, 'words: "horse" is not in the prompt. Its words are: fluffy, cat, red, dog, grass'),
        ("do", PROMPT, '"do" is not in the prompt'),
        ("cat dog", PROMPT, '"cat dog" is not in the prompt'),
        ("", "of the and", "no word in it that names something"),
    ],
)
def test_a_word_that_is_not_there(words, text, message):
    with pytest.raises(ValueError, match=message):
        encode_prompt_words(clip(), text, words)


def test_a_text_encoder_whose_prompts_are_not_read():
    with pytest.raises(ValueError, match="Prompt Words does not read prompts of llama of HunyuanVideo. Name concepts with Encode Concepts"):
        encode_prompt_words(tiny.language_model_clip("hunyuan-video"), PROMPT, "cat")


def test_words_of_wans_prompt():
    clip = tiny.wan_clip()
    words = encode_prompt_words(clip, "red car", "car")
    tokens = [token for token, _ in clip.tokenize("red car")["umt5xxl"][0]]
    assert clip.tokenizer.clip_umt5xxl.tokenizer.decode([tokens[place] for place in words.token_weights[0].nonzero()[:, 0]]) == "car"
    assert torch.equal(words.embeddings, clip.encode_from_tokens(clip.tokenize("red car"))[0].float())


def test_words_of_animas_prompt_are_found_among_what_its_adapter_makes():
    """T5's tokens ask, with their weights. ComfyUI lets the adapter run before the model in its own inference mode, and else in it."""
    clip, model = tiny.language_model_clip("anima"), made("anima").model
    words = encode_prompt_words(clip, PROMPT, "cat, dog, red, fluffy cat")
    spelled = [
        clip.tokenizer.t5xxl.tokenizer.decode(words.refiner_ids[0][weights.nonzero()[:, 0]]).lower() for weights in words.token_weights
    ]
    assert spelled == ["cat cat", "dog", "red", "fluffy cat"]
    assert sorted(set(words.refiner_weights[0].tolist())) == pytest.approx([1, 1.3])
    positive, other = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (PROMPT, PROMPT.replace("1.3", "1.1")))
    maps = []
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            patched, recording = record_concepts(model, words)
            options = {"positive": positive, "negative": other, "cfg": 2.0, "steps": 1}
            samples = made("anima").sample(patched, **options)
            assert torch.equal(samples, made("anima").sample(**options))
            maps.append(decode(recording, samples, softmax=False).values)
            with pytest.raises(ValueError, match="positive prompt is not the text that Prompt Words was given"):
                made("anima").sample(patched, positive=other, steps=1)
    torch.testing.assert_close(*maps, atol=1e-7, rtol=1e-5)
    assert maps[0].std() > 1e-6 and maps[0].sum(1).max() < 1


@pytest.mark.parametrize("options", [{}, {"cfg": 4.0, "batch": 2, "size": (7, 9), "sampler": "heun"}], ids=str)
def test_the_picture_is_the_same_and_each_has_its_own_maps(options):
    kind = made("sd15")
    patched, recording = record()
    samples = kind.sample(patched, positive=prompt(PROMPT), **options)
    assert torch.equal(samples, kind.sample(positive=prompt(PROMPT), **options))
    raw, shares = decode(recording, samples, softmax=False), decode(recording, samples)
    torch.testing.assert_close(shares.values, raw.values / raw.values.sum(1, keepdim=True))
    assert raw.values.shape[:2] == (len(samples), 3) and shares.softmaxed and not raw.softmaxed
    noise = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(1))
    both = decode(recording, kind.sample(patched, positive=prompt(PROMPT), noise=noise, batch=2, cfg=2.0), softmax=False).values
    alone = decode(recording, kind.sample(patched, positive=prompt(PROMPT), noise=noise[1:], cfg=2.0), softmax=False).values
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-4)


def test_concepts_and_words_are_recorded_in_one_sampling():
    """By two Apply nodes, one after the other, as in the template for SDXL: each hears what it hears alone."""
    kind = made("sd15")

    def sampled(model):
        return kind.sample(model, positive=prompt(PROMPT), cfg=2.0, steps=2)

    of_concepts, concepts = kind.record()
    both, words = record(model=of_concepts)
    of_words, words_alone = record()
    samples = sampled(both)
    assert torch.equal(decode(words, samples, softmax=False).values, decode(words_alone, sampled(of_words), softmax=False).values)
    maps = decode(concepts, samples).values
    assert torch.equal(sampled(of_concepts), samples) and torch.equal(decode(concepts, samples).values, maps)


def test_a_longer_negative_prompt_changes_nothing():
    """ComfyUI repeats the shorter one."""
    kind = made("sd15")
    maps = []
    for negative in ("bad", "bad " * 100):
        patched, recording = record()
        samples = kind.sample(patched, positive=prompt(PROMPT), negative=prompt(negative), cfg=1.5, steps=1)
        maps.append(decode(recording, samples, softmax=False).values)
    torch.testing.assert_close(maps[0], maps[1], atol=1e-5, rtol=1e-4)


def test_it_is_saved_and_decoded_again(tmp_path):
    patched, recording = record()
    samples = made("sd15").sample(patched, positive=prompt(PROMPT))
    save_recording(recording, samples, tmp_path / "r.safetensors")
    loaded, again = load_recording(tmp_path / "r.safetensors")
    assert loaded.summed and torch.equal(decode(loaded, again).values, decode(recording, samples).values)


def test_any_picture():
    picture = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(5))
    recording = encode_image(made("sd15").model, encode_prompt_words(clip(), PROMPT, "cat, dog"), prompt(PROMPT), picture, samples=2)
    maps = decode(recording, picture, softmax=False).values
    assert maps.shape == (2, 2, 8, 12) and (maps[0] - maps[1]).abs().max() > 1e-3


def test_what_cannot_be_read_word_by_word():
    kind = made("sd15")
    patched, recording = record()
    with pytest.raises(ValueError, match="positive prompt is not the text that Prompt Words was given"):
        kind.sample(patched, positive=prompt("a dog"))
    halves = [[prompt(PROMPT)[0][0], {"area": (4, 12, top, 0), "strength": 1.0}] for top in (0, 4)]
    with pytest.raises(ValueError, match="Prompt Words is for one positive prompt over the whole picture.*Encode Concepts"):
        kind.sample(patched, positive=halves)
    samples = kind.sample(patched, positive=prompt(PROMPT))
    with pytest.raises(ValueError, match="sums over steps: set start_percent and end_percent in the Apply node"):
        decode(recording, samples, start_percent=0.5)
    with pytest.raises(ValueError, match="keep_vectors: words of the prompt have no output vectors"):
        record(keep_vectors="all")
    with pytest.raises(ValueError, match="preview: maps of prompt words are there when the sampling has ended"):
        record(preview=lambda *args: None)
    shrunk = PatchModelAddDownscale.execute(kind.model, 3, 2.0, 0.0, 0.5, True, "bicubic", "bicubic").args[0]
    with pytest.raises(ValueError, match="Deep Shrink changes the size"):
        kind.sample(record(model=shrunk)[0], positive=prompt(PROMPT), size=(16, 16))


def test_the_clip_of_another_family():
    concepts = encode_prompt_words(clip(), PROMPT, "cat")
    with pytest.raises(ValueError, match="encoded by clip-l"):
        record_concepts(made("flux").model, concepts)


def test_words_of_the_negative_prompt():
    """They are what they are where that prompt is the positive one. Where the sampler never asks for it, that is said."""
    kind, other = made("sd15"), prompt("a tree")
    maps = []
    for which, prompts in (("positive", (prompt(PROMPT), other)), ("negative", (other, prompt(PROMPT)))):
        words = encode_prompt_words(clip(), PROMPT, "cat, dog", which)
        patched, recording = record_concepts(kind.model, words)
        samples = kind.sample(patched, positive=prompts[0], negative=prompts[1], cfg=2.0, steps=1)
        maps.append(decode(recording, samples, softmax=False).values)
    torch.testing.assert_close(*maps, atol=1e-5, rtol=1e-4)
    samples = kind.sample(patched, positive=other, negative=prompt(PROMPT), cfg=1.0, steps=1)
    with pytest.raises(ValueError, match="none was recorded, since the sampler never asked the model about its negative prompt.*cfg"):
        decode(recording, samples)
    with pytest.raises(ValueError, match="negative prompt is not the text that Prompt Words was given"):
        kind.sample(patched, positive=prompt(PROMPT), negative=other, cfg=2.0, steps=1)
    with pytest.raises(ValueError, match="Encode Image for Concepts shows the positive prompt alone"):
        encode_image(kind.model, words, prompt(PROMPT), samples)


OTHERS = ["klein", "mistral", "z-image", "krea2", "lumina2", "qwen-image", "ovis", "longcat", "hunyuan-image"]


@pytest.mark.parametrize("name", OTHERS)
def test_words_are_found_in_prompts_of_language_models(name):
    """At the tokens of the very prompt, behind the template, of which no word counts; what is read before it makes them what they are."""
    clip = tiny.language_model_clip(name)
    text = "a fluffy cat, a red dog and another Cat\non 山水 grass"
    words = encode_prompt_words(clip, text, "cat, (dog:1.2), fluffy cat, 山水")
    given = clip.encode_from_tokens(clip.tokenize(text))[0].float()
    padding = len(words.embeddings) - len(given)
    assert torch.equal(words.embeddings[padding:], given) and not words.embeddings[:padding].any()
    tokenizer = getattr(clip.tokenizer, clip.tokenizer.clip)
    ids = [pair[0] for pair in clip.tokenize(text)[clip.tokenizer.clip_name][0]]
    end = ids[::-1].index(151645) + 1 if name == "longcat" else 0  # what ComfyUI cuts off
    cut = len(ids) - end - len(given)
    spelled = {
        name: tokenizer.tokenizer.decode([ids[place - padding + cut] for place in weights.nonzero()[:, 0]]).split()
        for name, weights in zip(words.names, words.token_weights)
    }
    assert "".join(spelled["cat"]).lower().replace(",", "") == "catcat"
    assert spelled["dog"] == ["dog"] and "".join(spelled["山水"]) == "山水" and " ".join(spelled["fluffy cat"]).strip(",") == "fluffy cat"
    with pytest.raises(ValueError, match='"user" is not in the prompt. Its words are: fluffy, cat, red, dog'):
        encode_prompt_words(clip, text, "user")


def test_words_are_found_by_t5_and_by_both_text_encoders_of_sd3():
    flux_clip = DEMO_FAMILIES["flux"].load()[1]
    text = 'a Circle, a (red:1.3) square and "another circle"'
    words = encode_prompt_words(flux_clip, text, "circle, red, square")
    assert torch.equal(words.embeddings, flux_clip.encode_from_tokens(flux_clip.tokenize(text))[0].float())
    pieces = [flux_clip.tokenizer.t5xxl.inv_vocab[token] for token, _ in flux_clip.tokenize(text)["t5xxl"][0]]
    spelled = ["".join(pieces[place] for place in weights.nonzero()[:, 0]) for weights in words.token_weights]
    assert [each.replace("\u2581", "").lower() for each in spelled] == ["circlecircle", "red", "square"]
    sd3_clip, text = tiny.sd3_clip(), "people at home and home"  # words of its small vocabulary
    words = encode_prompt_words(sd3_clip, text, "people, home")
    given = sd3_clip.encode_from_tokens(sd3_clip.tokenize(text))[0].float()
    of_clip = len(sd3_clip.tokenize(text)["l"][0])
    assert torch.equal(words.embeddings, given)
    assert [weights.nonzero()[:, 0].tolist() for weights in words.token_weights] == [[1, of_clip], [3, 5, of_clip + 2, of_clip + 4]]


@pytest.mark.long
def test_what_is_kept_of_sdxl_while_it_samples_and_after(monkeypatch):
    """Its own layers and heads, narrow and random, at 128 x 128 pixels: 1024 x 1024 have 64 times as much. Steps add nothing."""
    shape = {**tiny.THREE_LEVELS, "transformer_depth": [0, 0, 2, 2, 10, 10], "transformer_depth_output": [0] * 3 + [2] * 3 + [10] * 3}
    model = tiny.unet("SDXL", num_heads=-1, num_head_channels=32, use_linear_in_transformer=True, num_classes="sequential",
                      adm_in_channels=32 + 1536, **{**shape, "model_channels": 160})  # fmt: skip
    layers = [layer for block in transformers_of(model.model.diffusion_model).values() for layer in block.transformer_blocks]
    assert sorted({layer.attn2.heads for layer in layers}) == [10, 20] and len(layers) == 60
    kind, summed = made("sdxl"), []
    settle = Receiver.settle_words

    def settled(receiver, token_weights):
        summed.append(sum(layer.nbytes for block in receiver.sums for layer in block))
        settle(receiver, token_weights)

    monkeypatch.setattr(Receiver, "settle_words", settled)
    weights = torch.zeros(8, 77)
    weights[range(8), range(1, 9)] = 1
    words = Concepts(tuple("abcdefgh"), 8, kind.encoder, kind.prompts[0][0][0][0], weights, of_prompt="positive")
    patched, recording = record_concepts(model, words)
    for steps in (1, 2):
        kind.sample(patched, latent=torch.zeros(1, 4, 16, 16), steps=steps, cfg=2.0)
    assert summed[0] == summed[1] and 40e6 < 64 * summed[0] <= 60e6
    assert 64 * recording.runs[0].score_nbytes <= 2e6
