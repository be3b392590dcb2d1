"""Words of the prompt in all families but U-Nets: where text and picture attend to one another, and where the picture does to text."""

import dataclasses
from contextlib import contextmanager

import pytest
import restated
import restated_cosmos
import restated_flux
import restated_sd3
import restated_single
import restated_video
import torch
from concept_attention.concept_core.draw.preview import over, strongest_so_far
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.encode_image import encode_image
from concept_attention.concept_core.recording import prompt_words
from concept_attention.concept_core.recording.scores import PROMPT_WORDS
from concept_attention.concept_core.storage.files import load_recording, save_recording
from kinds import KINDS, made, of_each_sort, with_a_whole_prompt
from probe import call_at

CROSS_ATTENTION = {"cosmos": restated_cosmos, "anima": restated_cosmos, "wan": restated_video}
U_NETS = ("sd15", "sd2", "sdxl")
CLIPS = ["cogvideox", "cogvideox-1.5"]
PICTURES = [name for name, about in KINDS.items() if about.get("frames") != 3 and name not in U_NETS]
JOINT = [name for name in PICTURES if name not in CROSS_ATTENTION]
SIGMA = 0.7
WITHIN = {"krea2": 1e-4}  # as in test_restated.py


@pytest.fixture(params=PICTURES)
def joint(request):
    return made(request.param)


def attentions_of(kind, x, context, options):
    """Of each block, in float64: (queries, keys) [heads, tokens, d], the picture's last, by the restatements of the concept stream."""
    with attended(restated, restated_single, restated_flux, restated_sd3) as calls:
        if kind.name in ("flux", "sd3"):
            streams = {"flux": restated_flux, "sd3": restated_sd3}[kind.name]
            streams.restated(kind.model, x, context, options["pooled_output"], kind.concepts.embeddings[None], SIGMA)
        elif kind.name in CLIPS:
            restated_video.restated(kind.name, kind.model, x, context, options, kind.concepts, SIGMA)
        else:
            of_network = {"guidance": torch.tensor([0.0 if kind.name == "chroma" else 3.5])}
            restate = restated.restated if kind.has_replacements else restated_single.restated
            restate(kind.name, kind.model, x, context, of_network, kind.concepts, SIGMA)
    tokens = max(k.shape[1] for _, k in calls)
    return [(q, k) for q, k in calls if k.shape[1] == tokens and q.shape[1] != context.shape[1]]


@contextmanager
def attended(*modules):
    """What attentions of restatements are called with while it is open: (queries, keys)."""
    calls = []

    def listened(module, name):
        plain = getattr(module, name)

        def attention(q, k, *rest):
            calls.append((q.reshape(-1, *q.shape[-2:]), k.reshape(-1, *k.shape[-2:])))
            return plain(q, k, *rest)

        return attention

    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            name = "attention" if hasattr(module, "attention") else "softmax_attention"
            patch.setattr(module, name, listened(module, name))
        yield calls


@pytest.mark.parametrize("size", [(6, 10), (7, 9)], ids=str)
@pytest.mark.parametrize("name", [name for name in JOINT if name != "chroma-radiance"] + CLIPS)
def test_probabilities_agree_with_a_restatement_in_float64(name, size):
    """Of all that the picture's token attends to in the text, padding that the model adds included, the part that is the word."""
    kind = with_a_whole_prompt(name)
    x = torch.randn(kind.latent(size).shape, generator=torch.Generator().manual_seed(2))
    ((context, options),) = kind.prompts[0]
    words = kind.words()
    patched, recording = kind.record(concepts=words)
    with torch.no_grad():
        call_at(patched, kind.prompts[0], [x], [SIGMA])
    (step,) = recording.runs[0].steps.values()
    heard = attentions_of(kind, x, context, options)[: recording.depth]
    tokens = step[PROMPT_WORDS].shape[-1]
    first = 32 if name == "z-image" else context.shape[1]
    assert len(heard) == recording.depth
    for block, (q, k) in enumerate(heard):
        picture = q[:, -(k.shape[1] - first) :][:, :tokens]
        logits = picture @ k[:, :first].transpose(1, 2) / q.shape[-1] ** 0.5
        of_text = logits.softmax(-1).mean(0)[:, : context.shape[1]]
        expected = words.token_weights.double() @ of_text.T
        assert (step[PROMPT_WORDS][block, 0] - expected).abs().max() <= WITHIN.get(name, 1e-5) * expected.abs().max(), block


@pytest.mark.parametrize("size", [(6, 10), (7, 9)], ids=str)
@pytest.mark.parametrize("name", CROSS_ATTENTION)
def test_probabilities_of_cross_attention_agree_with_a_restatement_in_float64(name, size):
    """Of all that the picture's token attends to: Anima's prompt is followed by zeros, which have a part in it and are no word's."""
    kind, words = made(name), made(name).words()
    x = torch.randn(kind.latent(size).shape, generator=torch.Generator().manual_seed(2))
    ((context, options),) = kind.prompts[0]
    patched, recording = kind.record(concepts=words)
    with torch.no_grad():
        call_at(patched, kind.prompts[0], [x], [SIGMA])
    (step,) = recording.runs[0].steps.values()
    with attended(CROSS_ATTENTION[name]) as calls:
        CROSS_ATTENTION[name].restated(name, kind.model, x, context, options, kind.concepts, SIGMA)
    of_text = [(q, k) for q, k in calls if k.shape[1] == (512 if name == "anima" else context.shape[1]) and q.shape[1] > 8]
    for heard, (q, k) in zip(step[PROMPT_WORDS][:, 0], of_text, strict=True):
        probabilities = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1).mean(0)
        expected = words.token_weights.double() @ probabilities[:, : words.token_weights.shape[1]].T
        assert (heard - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_probabilities_of_ltx():
    """Of what each block's cross-attention asks with and is answered by, heard at its norms."""
    kind, heard = made("ltx"), []
    blocks = kind.model.model.diffusion_model.transformer_blocks
    norms = [norm for block in blocks for norm in (block.attn2.q_norm, block.attn2.k_norm)]
    hooks = [norm.register_forward_hook(lambda module, given, out: heard.append(out.double())) for norm in norms]
    patched, recording = kind.record(concepts=kind.words())
    samples = kind.sample(patched, steps=1, batch=2)
    for hook in hooks:
        hook.remove()
    assert torch.equal(samples, kind.sample(steps=1, batch=2))
    (step,) = recording.runs[0].steps.values()
    for block, scores, q, k in zip(blocks, step[PROMPT_WORDS], heard[::2], heard[1::2], strict=True):
        q, k = (x.unflatten(2, (block.attn2.heads, -1)).transpose(1, 2) for x in (q, k))
        probabilities = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1).mean(1)
        expected = kind.words().token_weights.double() @ probabilities.transpose(1, 2)
        torch.testing.assert_close(scores.double(), expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["wan", *CLIPS])
def test_words_of_a_clip(name):
    """Each frame has its own maps, and the clip is the same."""
    kind = made(name)
    patched, recording = kind.record(concepts=kind.words())
    samples = kind.sample(patched, cfg=2.0, steps=2)
    assert torch.equal(samples, kind.sample(cfg=2.0, steps=2))
    maps = decode(recording, samples, softmax=False).values
    assert maps.shape[:2] == (3, 3) and maps.min() >= 0 and maps.sum(1).max() <= 1
    assert (maps[0] - maps[2]).abs().max() > 1e-5 < (maps[:, 0] - maps[:, 1]).abs().max()


def test_the_picture_is_the_same_and_its_maps_are_probabilities(joint):
    patched, recording = joint.record(concepts=joint.words())
    options = {"cfg": 4.5, "batch": 2, "size": (7, 9), "sampler": "heun", "steps": 2}
    samples = joint.sample(patched, **options)
    assert torch.equal(samples, joint.sample(**options)) and recording.spaces == (PROMPT_WORDS,)
    raw, shares = decode(recording, samples, softmax=False).values, decode(recording, samples).values
    assert raw.shape[:2] == (2, 3) and raw.min() >= 0 and raw.sum(1).max() <= 1 and raw.std() > 1e-5
    torch.testing.assert_close(shares, raw / raw.sum(1, keepdim=True))
    assert not torch.allclose(raw[0], raw[1], rtol=1e-3)


@of_each_sort(fixture="joint", names=PICTURES)
def test_each_picture_has_the_maps_that_it_has_alone(joint):
    """Also where the sampler asks for both prompts apart, as where memory is short."""
    patched, recording = joint.record(concepts=joint.words())
    latent = joint.latent((6, 10), batch=2)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
    both = decode(recording, joint.sample(patched, latent=latent, noise=noise, cfg=2.0, steps=1), softmax=False).values
    for row in range(2):
        one = {"latent": latent[row : row + 1], "noise": noise[row : row + 1]}
        alone = decode(recording, joint.sample(patched, **one, steps=1), softmax=False).values
        torch.testing.assert_close(both[row], alone[0], atol=1e-6, rtol=1e-3)


@of_each_sort(fixture="joint", names=PICTURES)
def test_words_of_the_negative_prompt(joint):
    """They are what they are where that prompt is the positive one."""
    noise = torch.randn(joint.latent().shape, generator=torch.Generator().manual_seed(0))
    maps = []
    for which in ("positive", "negative"):
        patched, recording = joint.record(concepts=joint.words(1, which))
        prompts = dict(zip((which, "negative" if which == "positive" else "positive"), (joint.prompts[1], joint.prompts[0])))
        maps.append(decode(recording, joint.sample(patched, noise=noise, cfg=2.0, steps=1, **prompts), softmax=False).values)
    torch.testing.assert_close(*maps, atol=1e-6, rtol=1e-3)


@of_each_sort(fixture="joint", names=PICTURES)
def test_the_prompt_has_to_be_the_very_one(joint):
    patched, _ = joint.record(concepts=joint.words(1))
    with pytest.raises(ValueError, match="positive prompt is not the text that Prompt Words was given"):
        joint.sample(patched, steps=1)


@of_each_sort(fixture="joint", names=PICTURES)
def test_any_picture_and_a_file(joint, tmp_path):
    picture = torch.randn(joint.latent(batch=2).shape, generator=torch.Generator().manual_seed(5))
    recording = encode_image(joint.model, joint.words(), joint.prompts[0], picture)
    maps = decode(recording, picture, softmax=False).values
    assert (maps[0] - maps[1]).abs().max() > 1e-6
    save_recording(recording, picture, tmp_path / "r.safetensors")
    assert torch.equal(decode(*load_recording(tmp_path / "r.safetensors"), softmax=False).values, maps)


def test_a_longer_prompt_on_the_other_side_changes_nothing():
    """ComfyUI repeats the shorter one, and a word's probability is the sum over its copies."""
    kind = made("sd3")
    ((context, options),) = kind.prompts[1]
    maps = []
    for negative in (context, context.repeat(1, 3, 1)):
        patched, recording = kind.record(concepts=kind.words())
        samples = kind.sample(patched, cfg=2.0, steps=1, negative=[[negative, options]])
        maps.append(decode(recording, samples, softmax=False).values)
    torch.testing.assert_close(*maps, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["z-image", "krea2", "flux", "qwen-image"])
def test_references_are_no_part_of_the_picture_nor_of_the_prompt(name):
    kind = made(name)
    ((context, options),) = kind.prompts[0]
    reference = torch.randn(kind.latent((6, 4)).shape, generator=torch.Generator().manual_seed(3))
    patched, recording = kind.record(concepts=kind.words())
    positive = [
        [context, {**options, "reference_latents": [reference], "reference_latents_method": "offset" if name == "flux" else "index"}]
    ]
    samples = kind.sample(patched, positive=positive)
    raw = decode(recording, samples, softmax=False).values
    assert torch.equal(samples, kind.sample(positive=positive)) and raw.sum(1).max() <= 1 and raw.std() > 1e-5


def test_a_mask_of_the_attention_hides_tokens():
    """What the model does not see of a prompt has no part in it, and the others share what it had."""
    kind = made("qwen-image")
    ((context, options),) = kind.prompts[0]
    hidden = torch.ones(1, context.shape[1], dtype=torch.long)
    hidden[0, 1] = 0
    weights = torch.eye(context.shape[1])
    words = dataclasses.replace(kind.words(), names=tuple("abcdef"), num_shown=6, token_weights=weights)
    patched, recording = kind.record(concepts=words)
    samples = kind.sample(patched, positive=[[context, {**options, "attention_mask": hidden}]], steps=1)
    raw = decode(recording, samples, softmax=False).values
    assert raw[:, 1].abs().max() == 0
    torch.testing.assert_close(raw.sum(1), torch.ones_like(raw[:, 0]))


@pytest.mark.parametrize("heads", [1, 4])
def test_queries_are_taken_some_at_a_time(heads, monkeypatch):
    """Never all queries by all tokens by all heads; the maps are the same."""
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, heads, 37, 8, generator=generator), torch.randn(2, heads, 12, 8, generator=generator)
    weights, mask = torch.rand(3, 6, generator=generator), torch.randn(1, 1, 37, 12, generator=generator)
    expected = prompt_words.word_scores(q, k, weights, mask, copies=2)
    monkeypatch.setattr(prompt_words, "NUMBERS_AT_ONCE", 2 * heads * 12 * 5)
    largest = max(part.numel() for part in prompt_words.attended(q, k, mask))
    assert largest <= prompt_words.NUMBERS_AT_ONCE
    torch.testing.assert_close(prompt_words.word_scores(q, k, weights, mask, copies=2), expected)


@pytest.mark.parametrize("name", ["hunyuan-video", "hunyuan-video-1.5"])
def test_families_that_cannot(name):
    kind = made(name)
    with pytest.raises(ValueError, match="Prompt Words cannot be used with .*name concepts with Encode Concepts"):
        kind.record(concepts=kind.words())


def test_the_preview_shows_shares_of_words():
    kind, shown = made("flux"), []

    def draw(base, recording, run, masks):
        shown.append((strongest_so_far(base, recording, run), base))
        return shown[-1][0]

    patched, recording = kind.record(concepts=kind.words(), preview=draw)
    samples = kind.sample(patched, steps=1)
    ((drawn, base),) = shown
    maps = decode(recording, samples)
    assert drawn == over(base, maps.values[0], maps.names[: maps.num_shown], maps.image_size, maps.pixels_per_token) != base


def test_single_blocks():
    kind = made("flux2")
    patched, recording = kind.record(concepts=kind.words(), single_blocks=True)
    samples = kind.sample(patched, steps=1)
    single, double = (decode(recording, samples, blocks=blocks, softmax=False).values for blocks in ("s0", "all"))
    assert 0 < single.sum(1).max() <= 1 and not torch.allclose(single, double, rtol=1e-2)
