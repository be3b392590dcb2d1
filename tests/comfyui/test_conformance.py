"""What every family must show, on a tiny model of it; the two that the other tests sample with among them."""

import inspect
from dataclasses import replace

import comfy.hooks
import comfy.model_management
import comfy.sd
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.encode_image import encode_image
from concept_attention.concept_core.recording.recipe import Recipe
from concept_attention.concept_core.storage.files import load_recording, save_recording
from kinds import KINDS, by_turns, made, of_each_sort

METHODS = {name: ("index", "index_timestep_zero") for name in ("flux2", "qwen-image", "krea2")}  # to number reference latents
BATCH = {"cfg": 4.5, "batch": 2, "size": (7, 9), "sampler": "heun", "steps": 2}
WAYS = [{}, {"cfg": 4.5, "sampler": "dpmpp_2m_sde", "size": (2, 16), "steps": 3}]


def assert_same_maps(maps, others):
    torch.testing.assert_close(maps, others, atol=1e-5, rtol=1e-4)


def maps_of(recording, samples, **options):
    """[B, C, t, h, w] with the softmax first and no temperature: what shows every difference."""
    return decoded(replace(recording, recipe=Recipe()), samples, blocks="all", **options)


def decoded(recording, samples, *args, **options):
    """[B, C, t, h, w] of pictures, which have one frame, or clips, of which one is decoded at a time."""
    return torch.stack([decode(recording, sample[None], *args, **options).values.movedim(0, 1) for sample in samples])


@pytest.mark.parametrize(
    ("each_kind", "options"), [*by_turns(KINDS, WAYS), *((name, BATCH) for name in KINDS)], indirect=["each_kind"], ids=str
)
def test_the_picture_does_not_change_by_a_bit(each_kind, options):
    patched, recording = each_kind.record(spaces="all")
    samples = each_kind.sample(patched, **options)
    assert torch.isfinite(samples).all() and torch.equal(samples, each_kind.plain(**options))
    for space in recording.spaces:
        maps = decoded(recording, samples, space)
        assert maps.shape[:2] == (options.get("batch", 1), 3) and torch.isfinite(maps).all()
        assert float(maps.std()) > 0


@of_each_sort()
def test_positive_and_negative_apart(each_kind, monkeypatch):
    maps = maps_of(*each_kind.heard(cfg=4.5, steps=2))
    monkeypatch.setattr(each_kind.model.model, "memory_required", lambda *args, **kwargs: float("inf"))
    patched, recording = each_kind.record()
    samples = each_kind.sample(patched, cfg=4.5, steps=2)
    assert torch.equal(samples, each_kind.sample(cfg=4.5, steps=2))
    torch.testing.assert_close(maps_of(recording, samples), maps, atol=1e-4, rtol=1e-3)


def test_each_picture_has_the_maps_that_it_has_alone(each_kind):
    patched, recording = each_kind.record()
    latent = each_kind.latent((7, 10), batch=2)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(0))
    maps = maps_of(recording, each_kind.sample(patched, latent=latent, noise=noise, cfg=2.0, steps=2))
    for row in range(2):
        one = {"latent": latent[row : row + 1], "noise": noise[row : row + 1]}
        assert_same_maps(maps[row], maps_of(recording, each_kind.sample(patched, **one, cfg=2.0, steps=2))[0])
    assert not torch.allclose(maps[0], maps[1], atol=1e-3)


def test_reference_latents_are_no_part_of_the_picture(kind_with_references):
    each_kind = kind_with_references
    ((context, options),) = each_kind.prompts[0]
    reference = torch.randn(each_kind.latent((6, 4)).shape, generator=torch.Generator().manual_seed(3))
    patched, recording = each_kind.record(spaces="all")
    plain = maps_of(recording, each_kind.sample(patched, steps=2))
    for method in METHODS.get(each_kind.name, ("offset",)):
        positive = [[context, {**options, "reference_latents": [reference], "reference_latents_method": method}]]
        samples = each_kind.sample(patched, positive=positive, cfg=2.0, steps=2)
        assert torch.equal(samples, each_kind.sample(positive=positive, cfg=2.0, steps=2))
        maps = maps_of(recording, samples)
        assert maps.shape == plain.shape and (maps - plain).abs().max() > 1e-3  # the model looks at the reference


@of_each_sort("chroma-radiance", "flux2")
def test_areas(each_kind):
    """Two prompts for two halves: each half's maps are those of its prompt."""
    latent = each_kind.latent((8, 16))
    height, width = latent.shape[-2:]
    halves = [(height, width // 2, 0, 0), (height, width // 2, 0, width // 2)]
    positive = [
        [context, {**options, "area": area, "strength": 1.0}]
        for area, ((context, options),) in zip(halves, each_kind.prompts[1:], strict=True)
    ]
    patched, recording = each_kind.record()
    samples = each_kind.sample(patched, latent=latent, positive=positive, steps=2)
    assert torch.equal(samples, each_kind.sample(latent=latent, positive=positive, steps=2))
    maps = maps_of(recording, samples)
    torch.testing.assert_close(maps.sum(1), torch.ones_like(maps[:, 0]))
    swapped = [[context, {**options, "area": area}] for (context, options), area in zip(positive, halves[::-1])]
    assert (maps - maps_of(recording, each_kind.sample(patched, latent=latent, positive=swapped, steps=2))).abs().max() > 1e-4


def test_a_picture_is_shown_once_and_stops_early(each_kind):
    picture = torch.randn(each_kind.latent(batch=2).shape, generator=torch.Generator().manual_seed(5))
    recording = encode_image(each_kind.model, each_kind.concepts, each_kind.prompts[0], picture, noise=0.4, spaces="all")
    (scores,) = recording.runs[0].steps.values()
    assert scores[recording.spaces[0]].shape[:3] == (recording.depth, 2, 3)
    maps = maps_of(recording, picture)
    assert torch.isfinite(maps).all() and float((maps[0] - maps[1]).abs().max()) > 1e-3


@of_each_sort()
def test_a_recording_is_saved_and_decoded_again(each_kind, tmp_path):
    patched, recording = each_kind.record(spaces="all")
    samples = each_kind.sample(patched, steps=2, batch=2)
    save_recording(recording, samples, tmp_path / "r.safetensors")
    loaded, again = load_recording(tmp_path / "r.safetensors")
    assert torch.equal(again, samples) and torch.equal(decoded(loaded, again), decoded(recording, samples))


def test_vectors_are_kept(kind_with_vectors, tmp_path):
    each_kind = kind_with_vectors
    patched, recording = each_kind.record(keep_vectors="auto")
    samples = each_kind.sample(patched, steps=2, batch=2)
    save_recording(recording, samples, tmp_path / "r.safetensors")
    load_recording(tmp_path / "r.safetensors")
    vectors = recording.runs[0].vectors
    blocks = len(recording.default_blocks)
    assert len(vectors) == 2 and vectors[0].concepts.shape[:3] == (blocks, 2, 4)
    # What is kept is what the scores come from.
    kept = torch.einsum("ct,kbtd,kbnd->kbcn", each_kind.concepts.token_weights, vectors[0].concepts.float(), vectors[0].image.float())
    scores = next(iter(recording.runs[0].steps.values()))["output"][recording.default_blocks]
    if not recording.normalises_concepts:
        assert (kept - scores).abs().max() <= 2e-3 * scores.abs().max()


def lora(kind):
    """Of what its first layers attend with."""
    weights = {}
    for seed, (name, weight) in enumerate(kind.model.model.state_dict().items()):
        if ".0." in name and ("attn" in name or "attention" in name) and weight.ndim == 2:
            generator, key = torch.Generator().manual_seed(seed), name.removesuffix(".weight")
            weights[f"{key}.lora_up.weight"] = torch.randn(weight.shape[0], 4, generator=generator) / 2
            weights[f"{key}.lora_down.weight"] = torch.randn(4, weight.shape[1], generator=generator) / weight.shape[1] ** 0.5
    return weights


@of_each_sort()
def test_a_lora_shows_in_the_maps(each_kind):
    with_lora = comfy.sd.load_lora_for_models(each_kind.model, None, lora(each_kind), 1.0, 0)[0]
    patched, recording = each_kind.record(with_lora)
    samples = each_kind.sample(patched, steps=2)
    assert torch.equal(samples, each_kind.sample(with_lora, steps=2))
    assert (maps_of(recording, samples) - maps_of(*each_kind.heard(steps=2))).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["z-image", "krea2", "anima", "sdxl"])
def test_a_lora_of_one_of_two_prompts_shows_in_its_half_alone(name):
    """These make something of the concepts once in a sampling, unless weights change between calls."""
    kind = made(name)
    latent = kind.latent((8, 16))
    height, width = latent.shape[-2:]
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(4))
    areas = [{"area": (height, width // 2, 0, place), "strength": 1.0} for place in (0, width // 2)]
    hooks = comfy.hooks.create_hook_lora(lora(kind), 1.0, 0.0)

    def first_scores(model, hooked):
        positive = [[context, {**options, **area}] for area, ((context, options),) in zip(areas, kind.prompts[1:], strict=True)]
        if hooked:
            positive[1:] = comfy.hooks.set_hooks_for_conditioning(positive[1:], hooks)
        patched, recording = kind.record(model)
        kind.sample(patched, latent=latent, noise=noise, positive=positive, steps=1)
        (step,) = recording.runs[0].steps.values()
        return step[recording.spaces[0]].unflatten(-1, recording.runs[0].grid[1:])

    plain, everywhere = (
        first_scores(model, False) for model in (None, comfy.sd.load_lora_for_models(kind.model, None, lora(kind), 1.0, 0)[0])
    )
    scores, half = first_scores(None, True), plain.shape[-1] // 2
    torch.testing.assert_close(scores[..., :half], plain[..., :half], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(scores[..., half:], everywhere[..., half:], rtol=1e-3, atol=1e-3)
    assert (plain - everywhere)[..., half:].abs().max() > 0.01 * plain.abs().max()


def test_other_nodes_hooks_are_called_as_before(each_kind):
    calls = []

    def override(function, *args, **kwargs):
        calls.append("attention")
        return function(*args, **kwargs)

    def replacement(args, extra):
        calls.append("block")
        return extra["original_block"](args)

    other = each_kind.model.clone()
    other.set_model_patch_replace(replacement, "dit", "double_block", 1)
    other.model_options["transformer_options"]["optimized_attention_override"] = override
    plain = each_kind.sample(other, steps=2)
    expected, calls[:] = list(calls), []
    patched, recording = each_kind.record(other)
    samples = each_kind.sample(patched, steps=2)
    assert (
        torch.equal(samples, plain)
        and [call for call in calls] == expected
        and ("block" in calls) == each_kind.has_replacements
        and "attention" in calls
    )
    assert_same_maps(maps_of(recording, samples), maps_of(*each_kind.heard(steps=2)))


def test_other_nodes_wrappers_are_called_as_before(each_kind):
    calls = []

    def other(executor, *args, **kwargs):
        calls.append((len(args), sorted(kwargs)))
        return executor(*args, **kwargs)

    def wrapped(model):
        model = model.clone()
        for wrapper in (WrappersMP.DIFFUSION_MODEL, WrappersMP.APPLY_MODEL):
            model.add_wrapper_with_key(wrapper, "other", other)
        return model

    plain = each_kind.sample(wrapped(each_kind.model), steps=1)
    expected, calls[:] = list(calls), []
    assert torch.equal(each_kind.sample(wrapped(each_kind.record()[0]), steps=1), plain)
    assert calls == expected


@of_each_sort()
def test_out_of_memory_costs_the_maps_and_not_the_picture(each_kind):
    def full(*args):
        raise MemoryError

    patched, recording = each_kind.record(observe=full)
    samples = each_kind.sample(patched, steps=2)
    assert torch.equal(samples, each_kind.plain(steps=2))
    with pytest.raises(ValueError, match="memory ran out while recording"):
        decode(recording, samples)


@of_each_sort()
def test_an_interrupt_leaves_nothing_behind(each_kind):
    patched, recording = each_kind.record()

    def interrupt(step, *_):
        if step == 1:
            raise comfy.model_management.InterruptProcessingException

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        each_kind.sample(patched, steps=2, callback=interrupt)
    assert recording.runs == []
    assert torch.equal(each_kind.sample(patched, steps=2), each_kind.plain(steps=2)) and len(recording.runs) == 1


@of_each_sort()
def test_concepts_of_another_encoder_are_refused(each_kind):
    each_kind.concepts, own = replace(each_kind.concepts, encoder="another"), each_kind.concepts
    try:
        with pytest.raises(ValueError, match="encoded by another with width .* connect the CLIP that belongs to the model"):
            each_kind.record()
    finally:
        each_kind.concepts = own


@pytest.mark.parametrize("name", ["flux", "flux2"])
def test_single_blocks_are_recorded_beside_the_others_where_they_are_wanted(name, tmp_path):
    kind = made(name)
    plain, without = kind.record()
    patched, recording = kind.record(single_blocks=True, keep_vectors="s0")
    samples = kind.sample(patched, cfg=2.0, steps=2)
    assert torch.equal(samples, kind.sample(plain, cfg=2.0, steps=2)) and recording.depth > without.depth
    for blocks in ("auto", "all", "0-1"):
        assert torch.equal(decode(recording, samples, blocks=blocks).values, decode(without, samples, blocks=blocks).values)
    single, double = (decode(recording, samples, blocks=blocks, softmax=False).values for blocks in ("s0", "all"))
    assert torch.isfinite(single).all() and (single - double).abs().max() > 0.1 * double.abs().max()
    save_recording(recording, samples, tmp_path / "r.safetensors")
    assert torch.equal(decode(*load_recording(tmp_path / "r.safetensors"), blocks="s0", softmax=False).values, single)
    with pytest.raises(ValueError, match="no single blocks were recorded"):
        decode(without, samples, blocks="s0")
    shown = encode_image(kind.model, kind.concepts, kind.prompts[0], samples, single_blocks=True)
    assert torch.isfinite(decode(shown, samples, blocks="0,s0").values).all()


def test_single_blocks_are_refused_where_there_are_none(each_kind):
    if each_kind.name not in ("flux", "flux2"):
        with pytest.raises(ValueError, match="single_blocks: .* has no single blocks that can be recorded"):
            each_kind.record(single_blocks=True)


@pytest.mark.parametrize("name", ["flux", "qwen-image", "krea2"])
def test_tokens_that_another_patch_adds_are_refused(name):
    """They would be taken for the picture's."""
    kind, called = made(name), []

    def add_tokens(args):
        called.append(True)
        added = {key: torch.cat([args[key], args[key][:, :1]], 1) for key in ("img", "img_ids")}
        return {**args, **added}

    other = kind.model.clone()
    other.set_model_patch(add_tokens, "post_input")
    patched, _ = kind.record(other)
    try:
        kind.sample(patched, steps=1)
    except ValueError as error:
        assert "cannot tell the picture's tokens from others" in str(error)
    else:
        assert not called
        pytest.skip("this ComfyUI does not call such a patch")


@pytest.mark.parametrize("references", [0, 1])
@pytest.mark.parametrize("name", ["z-image", "krea2"])
def test_references_that_a_later_patch_adds_are_refused(name, references):
    kind = made(name)
    one = torch.randn(kind.latent((6, 4)).shape, generator=torch.Generator().manual_seed(3))
    ((context, options),) = kind.prompts[0]
    positive = [[context, {**options, "reference_latents": [one] * references, "reference_latents_method": "index"}]]

    def add_one(executor, *args, **kwargs):
        call = inspect.signature(executor.original).bind(*args, **kwargs)
        call.apply_defaults()
        call.arguments["ref_latents"] = [*(call.arguments["ref_latents"] or []), one]
        return executor(*call.args, **{**call.kwargs, "ref_latents_method": "index"})

    patched, _ = kind.record()
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "adds", add_one)
    with pytest.raises(ValueError, match="cannot tell the picture's tokens from others"):
        kind.sample(patched, positive=positive, steps=1)


@pytest.mark.parametrize("name", ["qwen-image", "krea2"])
def test_clips_are_refused(name):
    kind = made(name)
    patched, _ = kind.record()
    with pytest.raises(ValueError, match="does not record clips or layers of"):
        kind.sample(patched, latent=kind.latent().repeat(1, 1, 3, 1, 1))
