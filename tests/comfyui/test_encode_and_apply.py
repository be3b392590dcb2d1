import pytest
import tiny
import torch
from comfy.sd1_clip import SD1Tokenizer
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.record.sampler import record_concepts
from concept_attention.demo_model.text_encoders import PROMPT_LENGTH, load_flux_clip, load_sd3_clip


@pytest.fixture(scope="module")
def clip():
    return load_flux_clip()


def t5(clip, text, length):
    """The first embeddings of a text, by the way a prompt goes."""
    return clip.encode_from_tokens(clip.tokenize(text))[0, :length]


def test_a_concept_is_encoded_alone_by_its_own_tokens(clip):
    concepts = encode_concepts(clip, "circle, sand, red circle", "brick")
    assert concepts.names == ("circle", "sand", "red circle", "brick") and concepts.num_shown == 3
    counts = [1, 3, 2, 1]  # T5 splits sand into ▁ s and
    assert concepts.token_weights.gt(0).sum(1).tolist() == counts
    assert torch.equal(concepts.token_weights.sum(1), torch.ones(4))
    expected = [t5(clip, name, count) for name, count in zip(concepts.names, counts)]
    assert torch.equal(concepts.embeddings, torch.cat(expected))


def test_first_token_only(clip):
    concepts = encode_concepts(clip, "circle, sand", tokens="first token")
    assert torch.equal(concepts.embeddings, torch.stack([t5(clip, "circle", 1)[0], t5(clip, "sand", 1)[0]]))
    assert torch.equal(concepts.token_weights, torch.eye(2))


@pytest.mark.parametrize("text", ["(circle:1.2)", "embedding:circle", "((star))", "[a|b]"])
def test_prompt_syntax_is_literal(clip, text):
    tokens = clip.tokenizer.t5xxl.tokenizer(text)["input_ids"][:-1]
    assert clip.tokenizer.t5xxl.tokenizer.decode(tokens) == text
    concepts = encode_concepts(clip, text)
    assert concepts.names == (text,) and len(concepts.embeddings) == len(tokens)


def test_a_concept_longer_than_the_padding(clip):
    words = " ".join(["circle"] * (PROMPT_LENGTH + 8))
    assert encode_concepts(clip, words).embeddings.shape == (PROMPT_LENGTH + 8, 128)


def test_a_concept_named_twice_counts_once(clip):
    concepts = encode_concepts(clip, "circle, sand, circle", "sand, brick")
    assert concepts.names == ("circle", "sand", "brick") and concepts.num_shown == 2


@pytest.mark.parametrize(
    ("named", "names"),
    [
        ("red car, red  car, grass", ("red car", "grass")),
        ("cafe\u0301, caf\u00e9, grass", ("cafe\u0301", "grass")),
        ("\uff52\uff45\uff44, red", ("\uff52\uff45\uff44",)),
    ],
)
def test_spellings_that_t5_reads_alike_are_one_concept(clip, caplog, named, names):
    with caplog.at_level("INFO"):
        concepts = encode_concepts(clip, named, names[0] + ", brick")
    assert concepts.names == (*names, "brick") and concepts.num_shown == len(names)
    assert f"they are one concept, {names[0]!r}" in caplog.text
    assert torch.equal(concepts.embeddings, encode_concepts(clip, ",".join(names), "brick").embeddings)


def test_t5_tells_capital_letters_apart(clip):
    assert encode_concepts(clip, "circle, Circle").num_shown == 2


def test_a_concept_as_long_as_a_story(clip):
    with pytest.raises(ValueError, match='"circle circle .*…" has 5000 tokens, and at most 128 are read of a concept: make it shorter'):
        encode_concepts(clip, " ".join(["circle"] * 5000))


def test_what_else_the_prompt_names_competes_unseen(clip):
    concepts = encode_concepts(clip, "circle", "sand", prompt="a red circle and a (blue square:1.2), on sand under the 龙")
    assert concepts.names == ("circle", "sand", "blue square") and concepts.num_shown == 1
    assert encode_concepts(clip, "blue square, sand", prompt="a blue square on sand").names == ("blue square", "sand")


def test_generic_words_compete_only_where_nothing_else_does(clip):
    generic = ("sky", "grass", "trees")
    assert encode_concepts(clip, "circle", generic=generic).names == ("circle", *generic)
    assert encode_concepts(clip, "tree", generic=generic).names == ("tree", "sky", "grass")
    for other in ({"background": "sand"}, {"prompt": "a circle on sand"}):
        assert encode_concepts(clip, "circle", generic=generic, **other).names == ("circle", "sand")
    assert encode_concepts(clip, "circle, star", generic=generic).names == ("circle", "star")


@pytest.fixture(scope="module")
def sd3_clip():
    return load_sd3_clip()


def test_sd3_reads_a_concepts_clip_tokens(sd3_clip):
    concepts = encode_concepts(sd3_clip, "circle, sandcastle, red circle")
    assert concepts.encoder == "clip" and concepts.embeddings.shape[1] == 4096
    counts = [len(sd3_clip.tokenizer.clip_l.tokenizer(name)["input_ids"]) - 2 for name in concepts.names]
    assert counts == [1, 2, 2] and concepts.token_weights.gt(0).sum(1).tolist() == counts
    prompts = [sd3_clip.encode_from_tokens(sd3_clip.tokenize(name)) for name in concepts.names]
    expected = [prompt[0, 1 : 1 + count] for prompt, count in zip(prompts, counts)]  # the first is the start token
    assert torch.equal(concepts.embeddings, torch.cat(expected))
    first = encode_concepts(sd3_clip, "circle, red circle", tokens="first token")
    assert torch.equal(first.embeddings, torch.stack([expected[0][0], expected[2][0]]))


def test_clip_reads_no_capital_letters(sd3_clip):
    concepts = encode_concepts(sd3_clip, "circle, Circle, square, grass", "CIRCLE")
    assert concepts.names == ("circle", "square", "grass") and concepts.num_shown == 3


def test_the_first_token_of_clip_knows_nothing_of_those_behind_it(sd3_clip, clip, caplog):
    """And in T5 it does."""
    with caplog.at_level("INFO"):
        assert encode_concepts(sd3_clip, "red car, red, grass", tokens="first token").names == ("red car", "grass")
    assert "clip reads 'red car' and 'red' alike: they are one concept, 'red car'" in caplog.text
    concepts = encode_concepts(clip, "red car, red", tokens="first token")
    assert concepts.num_shown == 2 and not torch.equal(*concepts.embeddings)


@pytest.mark.parametrize("text", ["(circle:1.2)", "embedding:circle", "((star))"])
def test_prompt_syntax_is_literal_in_clip_too(sd3_clip, text):
    words = sd3_clip.tokenizer.clip_l.tokenizer(text)["input_ids"][1:-1]
    concepts = encode_concepts(sd3_clip, text)
    assert len(concepts.embeddings) == len(words) > 1


def test_sd3_reads_t5_where_asked_to():
    """Behind CLIP's tokens, or alone where CLIP was not loaded."""
    for clip, before in [(tiny.sd3_clip(), 32), (tiny.sd3_clip(clip=False), 0)]:
        concepts = encode_concepts(clip, "a, sand", encoder="t5")
        assert concepts.encoder == "t5" and concepts.token_weights.gt(0).sum(1).tolist() == [2, 3]
        prompt = clip.encode_from_tokens(clip.tokenize("sand"))
        assert torch.equal(concepts.embeddings[2:], prompt[0, before : before + 3])


def test_concepts_that_this_clip_cannot_read(sd3_clip):
    with pytest.raises(ValueError, match="loaded without T5-XXL.*set encoder to clip"):
        encode_concepts(sd3_clip, "dog", encoder="t5")
    with pytest.raises(ValueError, match="loaded without CLIP-L and CLIP-G.*set encoder to t5"):
        encode_concepts(tiny.sd3_clip(clip=False), "dog")
    with pytest.raises(ValueError, match="has 40 tokens, and at most 30 are read of a concept"):
        encode_concepts(sd3_clip, " ".join(["circle"] * 40))


def test_a_concept_of_nothing_that_can_be_read(clip):
    with pytest.raises(ValueError, match="holds nothing that the text encoder t5 can read"):
        encode_concepts(clip, "dog, \u200b, cat")


@pytest.mark.parametrize("name", ["龙", "dragon 🐉", "りゅう"])
def test_letters_that_t5_would_take_for_any_other(clip, name):
    with pytest.raises(ValueError, match=f"T5 does not know all letters of the concept '{name}' .*: write it in English"):
        encode_concepts(clip, f"dog, {name}")
    assert encode_concepts(clip, "café, Löwe").num_shown == 2


def test_progress_is_told_after_each_concept(clip):
    told = []
    encode_concepts(clip, "a, b", "c", progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_concepts_of_one_family_do_not_fit_the_other(clip, sd3_clip):
    with pytest.raises(ValueError, match="encoded by clip with width 4096, but this model .*Flux 1.* reads t5"):
        record_concepts(tiny.flux(context=4096), encode_concepts(sd3_clip, "dog"))
    with pytest.raises(ValueError, match="encoded by t5 with width 128, but this model .*SD3.* reads clip or t5 with width 64"):
        record_concepts(tiny.sd3(), encode_concepts(clip, "dog"))


def test_bad_input_to_encode(clip):
    for nothing in ("", " , \n,"):
        with pytest.raises(ValueError, match="No concepts: name at least one"):
            encode_concepts(clip, nothing, "sky")
    with pytest.raises(ValueError, match=r"made of l \(SD1LikeTokenizer\), is of no supported family \(Flux 1.*DualCLIPLoader"):
        encode_concepts(tiny.clip_l(type("SD1LikeTokenizer", (SD1Tokenizer,), {})), "dog")
    with pytest.raises(ValueError, match="no CLIP"):
        encode_concepts(None, "dog")
    with pytest.raises(ValueError, match="set encoder to auto or t5"):
        encode_concepts(clip, "dog", encoder="clip")


def test_a_model_of_another_family_is_refused_by_name(clip):
    with pytest.raises(ValueError, match=r"does not know the model family AuraFlow \(network MMDiT\)\. Supported: Flux 1.*, SD3"):
        record_concepts(tiny.aura_flow(), encode_concepts(clip, "dog"))


def test_bad_input_to_apply(clip):
    with pytest.raises(ValueError, match="encoded by t5 with width 128.*reads t5 with width 64.*connect the CLIP that belongs"):
        record_concepts(tiny.flux(context=64), encode_concepts(clip, "dog"))
    with pytest.raises(ValueError, match=r"start_percent \(0.7\) must be below end_percent \(0.2\)"):
        record_concepts(tiny.flux(context=128), encode_concepts(clip, "dog"), start_percent=0.7, end_percent=0.2)


def test_ltx_2_is_refused_by_name(clip):
    with pytest.raises(ValueError, match="LTX-2 makes sound with the clip.*cannot record that yet. For maps of a clip use LTX-Video, Wan"):
        record_concepts(tiny.ltx2(), encode_concepts(clip, "dog"))
