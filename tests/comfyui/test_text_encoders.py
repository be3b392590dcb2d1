"""How language models read a concept: its own tokens behind ComfyUI's template, and where they would stand in a prompt."""

from functools import cache

import comfy.sample
import pytest
import tiny
import torch
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.families.text_encoders import encoders_of
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.masks.masks import masks
from concept_attention.concept_core.record.sampler import record_concepts

NAMES = [
    "klein", "mistral", "qwen-image", "ovis", "longcat", "hunyuan-image", "z-image", "krea2", "lumina2",
    "hunyuan-video", "hunyuan-video-1.5",
]  # fmt: skip
CONCEPTS = [
    "dog", "Sky", "a", "7", "龙", "red car", "wooden table", "hummingbird", "skyscraper", "naïve", "T-rex", "C++", "50% grey",
    "St. Bernard", "x-ray machine", "it's raining", "old man's hat", "jalapeño", "Zürich", "山水画", "猫と犬", "three-headed dragon",
    "#hashtag", "rock & roll", "sunlit marble staircase", "a cat on a red mat", "красный", "snake_case", "black/white",
    "two dogs in the snow",
]  # fmt: skip
TEXTS = ["dog", "7", "red sports car", "crème brûlée", "龙", "(dog:1.2)", "Dog", "it's a {brace}"]

clip_of = cache(tiny.language_model_clip)


@pytest.fixture(params=NAMES)
def clip(request):
    return clip_of(request.param)


def tokenizer_of(clip):
    return getattr(clip.tokenizer, getattr(clip.tokenizer, "clip", "llama")).tokenizer


def spelled(clip, text):
    """As its own tokenizer reads the text alone. With transformers 5, ComfyUI's Llama loses spaces, in prompts too."""
    if hasattr(clip.tokenizer, "clip"):
        return text
    tokenizer = tokenizer_of(clip)
    return tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True).strip()


@pytest.mark.parametrize("text", TEXTS)
def test_its_tokens_are_the_text_and_nothing_else(clip, text):
    (encoder,) = encoders_of(clip)
    assert tokenizer_of(clip).decode(encoder.tokens(clip, text)).strip() == spelled(clip, text)


@pytest.mark.parametrize("name", NAMES)
def test_spans_of_thirty_concepts(name):
    """Mistral's and Gemma's own vocabularies come within checkpoints: those here spell."""
    clip = clip_of(name)
    (encoder,) = encoders_of(clip)
    spans = [encoder.tokens(clip, text) for text in CONCEPTS]
    assert [tokenizer_of(clip).decode(span).strip() for span in spans] == [spelled(clip, text) for text in CONCEPTS]
    if name not in ("mistral", "lumina2", "hunyuan-video"):
        assert {len(span) for span in spans} == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("text", ["dog", "red sports car"])
def test_its_embeddings_are_those_of_the_prompt_that_it_would_be(clip, text):
    """Row `position` of what ComfyUI encodes, before the model pads it."""
    (encoder,) = encoders_of(clip)
    encoded, prompt = encoder.encode(clip, text), clip.encode_from_tokens(clip.tokenize(text))[0].float()
    before = encoder.padded_to and encoder.padded_to - len(prompt)
    first = encoded.position - before
    tokens = len(encoder.tokens(clip, text))
    assert torch.equal(encoded.embeddings, prompt[first : first + tokens]) and len(encoded.embeddings) == tokens
    assert torch.equal(encoded.sequence[encoded.start : encoded.start + tokens], encoded.embeddings)
    assert torch.equal(encoded.sequence, prompt[: len(encoded.sequence)])
    # Another text behind the same template differs from there on.
    other = clip.encode_from_tokens(clip.tokenize("9"))[0].float()
    assert torch.allclose(prompt[:first], other[:first], atol=1e-5) and not torch.allclose(prompt[first], other[first], atol=1e-3)


def test_where_it_stands():
    """As the facts about the families say; token 510 of 512 is the authors' for Flux.2 dev."""
    expected = {
        "klein": 3,
        "mistral": 510,
        "qwen-image": 0,
        "ovis": 1,
        "longcat": 0,
        "hunyuan-image": 0,
        "z-image": 3,
        "krea2": 0,
        "lumina2": 1,
        "hunyuan-video-1.5": 0,
    }
    found = {name: encoders_of(clip_of(name))[0].encode(clip_of(name), "7").position for name in expected}
    assert found == expected


def test_padding_is_no_part_of_a_text(clip):
    encoded = encoders_of(clip)[0].encode(clip, "dog")
    assert len(encoded.sequence) < 400  # Mistral's template in bytes; those of the others are padded to 512, or not at all
    assert len(encoded.sequence) >= encoded.start + len(encoded.embeddings)


def test_the_last_token_stands_for_a_concept(clip):
    """It alone has read all of it; "all tokens" and "first token" are choices."""
    concepts = encode_concepts(clip, "red sports car, dog")
    (encoder,) = encoders_of(clip)
    encoded = encoder.encode(clip, "red sports car")
    assert torch.equal(concepts.embeddings[0], encoded.embeddings[-1])
    assert concepts.positions[0] == encoded.position + len(encoded.embeddings) - 1
    assert concepts.starts[0] == encoded.start + len(encoded.embeddings) - 1
    assert concepts.token_weights.shape == (2, 2) and concepts.encoder == encoder.name
    every = encode_concepts(clip, "red sports car, dog", tokens="all tokens")
    assert torch.equal(every.embeddings[: len(encoded.embeddings)], encoded.embeddings)
    assert torch.equal(encode_concepts(clip, "red sports car", tokens="first token").embeddings[0], encoded.embeddings[0])
    assert torch.equal(encode_concepts(clip, "red sports car, dog", tokens="last token").embeddings, concepts.embeddings)


@pytest.mark.parametrize("text", ["dog", "red sports car", "(dog:1.2)"])
def test_animas_tokens_are_those_of_t5_and_its_reading_is_qwens(text):
    clip = clip_of("anima")
    (encoder,) = encoders_of(clip)
    encoded, tokens = encoder.encode(clip, text), encoder.tokens(clip, text)
    assert clip.tokenizer.t5xxl.tokenizer.decode(tokens) == text and encoded.refiner_ids.tolist() == [*tokens, 1]
    assert len(encoded.embeddings) == len(tokens) and encoded.start == 0
    assert torch.equal(encoded.sequence, clip.encode_from_tokens(clip.tokenize(text, disable_weights=True))[0].float())
    with pytest.raises(ValueError, match="T5 does not know all letters"):
        encode_concepts(clip, "龙")


def test_wans_tokens_are_those_of_the_prompt():
    clip = tiny.wan_clip()
    (encoder,) = encoders_of(clip)
    tokens = encoder.tokens(clip, "red car")
    assert clip.tokenizer.clip_umt5xxl.tokenizer.decode(tokens) == "red car" and 1 not in tokens
    encoded, prompt = encoder.encode(clip, "red car"), clip.encode_from_tokens(clip.tokenize("red car"))[0]
    assert torch.equal(encoded.embeddings, prompt[: len(tokens)]) and encoded.embeddings.std() > 0
    with pytest.raises(ValueError, match="does not know all letters"):
        encode_concepts(clip, "龙")


MODELS = {  # whose text is as wide as the small encoders give it
    "klein": lambda: tiny.flux2(context=192),
    "mistral": lambda: tiny.flux2(context=192, guidance=True),
    "qwen-image": tiny.qwen_image,
    "ovis": tiny.ovis,
    "z-image": tiny.z_image,
    "lumina2": tiny.lumina2,
    "anima": tiny.anima,
}


@pytest.mark.parametrize("name", MODELS)
def test_from_words_to_masks(name):
    """As a graph does it: the same CLIP encodes prompt and concepts, ComfyUI samples, the maps are decoded and cut."""
    clip, model = clip_of(name), MODELS[name]()
    patched, recording = record_concepts(model, encode_concepts(clip, "dog, red car, sky", "grass"))
    positive, negative = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in ("a dog beside a red car", ""))
    empty = torch.zeros(2, model.model.latent_format.latent_channels, *([1] if name in ("qwen-image", "anima") else []), 8, 12)
    noise = comfy.sample.prepare_noise(empty, 1)
    sampled = [
        comfy.sample.sample(one, noise, 4, 3.0, "euler", "simple", positive, negative, empty, disable_pbar=True, seed=1)
        for one in (model, patched)
    ]
    assert torch.equal(*sampled)
    maps = decode(recording, sampled[1], steps="auto")
    assert maps.values.shape[:2] == (2, 4) and maps.num_shown == 3
    found = masks(maps, "*", "winner")
    assert found.shape == (6, *maps.image_size) and 0 < float(found.mean()) < 1


def test_what_cannot_be_read_is_said(clip):
    with pytest.raises(ValueError, match="names an embedding"):
        encode_concepts(clip, "a embedding:thing")
    with pytest.raises(ValueError, match="at most 128 are read of a concept"):
        encode_concepts(clip, " ".join(["dog"] * 200))
