"""What users count on while a model samples: the same picture, its own run, nothing left behind."""

import comfy.model_management
import comfy.sample
import comfy.samplers
import pytest
import tiny
import torch
from comfy_extras.nodes_custom_sampler import Guider_DualCFG
from concept_attention.concept_core.concepts import Concepts
from concept_attention.concept_core.maps import decode
from concept_attention.concept_core.sampling import record_concepts
from probe import call_at, conditioning

CONCEPTS = Concepts(("a", "b", "c"), 3, "t5", torch.randn(4, 64), torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1.0]]))


@pytest.fixture(scope="module")
def model():
    return tiny.flux()


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(1)
    return [conditioning(torch.randn(1, 6, 64, generator=generator), torch.randn(1, 32, generator=generator)) for _ in range(2)]


def sample(model, prompts, seed=0, size=(8, 12), batch=1, sampler="euler", steps=4, cfg=1.0, callback=None, **options):
    latent = torch.zeros(batch, 16, *size)
    noise = comfy.sample.prepare_noise(latent, seed)
    return comfy.sample.sample(model, noise, steps, cfg, sampler, "simple", *prompts, latent, callback=callback, seed=seed, **options)


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm_2", "dpmpp_2m", "euler_ancestral", "dpmpp_sde", "lcm"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_picture_does_not_change_by_a_bit(prompts, sampler, dtype):
    model = tiny.flux(dtype=dtype)
    patched, recording = record_concepts(model, CONCEPTS, spaces="all")
    plain = sample(model, prompts, sampler=sampler, cfg=2.0)
    assert torch.equal(sample(patched, prompts, sampler=sampler, cfg=2.0), plain)
    assert recording.runs[0].steps and torch.isfinite(decode(recording, plain).values).all()


@pytest.mark.parametrize(("size", "grid"), [((8, 12), (4, 6)), ((12, 8), (6, 4)), ((7, 9), (4, 5)), ((1, 2), (1, 1))])
@pytest.mark.parametrize("batch", [1, 3])
def test_any_shape_and_batch(model, prompts, size, grid, batch):
    patched, recording = record_concepts(model, CONCEPTS)
    samples = sample(patched, prompts, size=size, batch=batch)
    assert torch.equal(samples, sample(model, prompts, size=size, batch=batch))
    maps = decode(recording, samples)
    assert maps.values.shape == (batch, 3, *grid) and maps.image_size == (size[0] * 8, size[1] * 8)
    torch.testing.assert_close(maps.values.sum(1), torch.ones(batch, *grid))


@pytest.mark.parametrize("kind", [{"guidance": False}, {"channels": 96}], ids=["schnell", "Fill"])
def test_other_kinds_of_flux(prompts, kind):
    model = tiny.flux(**kind)
    patched, recording = record_concepts(model, CONCEPTS, spaces="all")
    samples = sample(patched, prompts, size=(7, 12))
    assert torch.equal(samples, sample(model, prompts, size=(7, 12)))
    assert decode(recording, samples, "value").values.shape == (1, 3, 4, 6)


def test_steps_are_counted_by_sigma_not_by_call(model, prompts):
    steps = {}
    for sampler in ("euler", "heun", "dpm_2"):
        patched, recording = record_concepts(model, CONCEPTS)
        sample(patched, prompts, sampler=sampler)
        steps[sampler] = recording.runs[0].steps
    assert list(steps["heun"]) == list(steps["euler"]) and len(steps["euler"]) == 4
    assert len(steps["dpm_2"]) == 7  # four steps, and a midpoint in all but the last


def test_each_row_of_a_batch_gets_the_maps_of_its_own_picture(model, prompts):
    patched, recording = record_concepts(model, CONCEPTS)
    together = sample(patched, prompts, batch=3)
    noise = comfy.sample.prepare_noise(torch.zeros(3, 16, 8, 12), 0)
    for row in range(3):
        latent = torch.zeros(1, 16, 8, 12)
        alone = comfy.sample.sample(patched, noise[row : row + 1], 4, 1.0, "euler", "simple", *prompts, latent, seed=0)
        torch.testing.assert_close(decode(recording, together).values[row], decode(recording, alone).values[0], atol=1e-5, rtol=1e-4)


def test_only_positive_rows_count(model, prompts):
    positive, negative = prompts
    latents, sigmas = [torch.randn(2, 16, 8, 12), torch.randn(2, 16, 8, 12)], [0.8, 0.3]
    patched, recording = record_concepts(model, CONCEPTS)
    with torch.no_grad():
        call_at(patched, positive, latents, sigmas)
        call_at(patched, positive, latents, sigmas, negative, cfg=4.0)
        call_at(patched, negative, latents, sigmas)
    alone, guided, other = (run.steps[sigma]["output"] for run in recording.runs for sigma in [max(run.steps)])
    torch.testing.assert_close(guided, alone, rtol=1e-4, atol=1e-4)
    assert (other - alone).abs().max() > 0.1


def test_nothing_is_recorded_outside_the_window(model, prompts):
    patched, recording = record_concepts(model, CONCEPTS, 0.3, 0.7)
    samples = sample(patched, prompts, steps=10)
    sampling = model.get_model_object("model_sampling")
    sigmas = list(recording.runs[0].steps)
    assert sigmas and all(sampling.percent_to_sigma(0.7) <= sigma <= sampling.percent_to_sigma(0.3) for sigma in sigmas)
    with pytest.raises(ValueError, match="No recorded step lies between 0.8 and 1"):
        decode(recording, samples, start_percent=0.8)


def test_two_samplers_on_one_model_are_decoded_each_to_its_own(model, prompts):
    patched, recording = record_concepts(model, CONCEPTS)
    first, second = sample(patched, prompts, seed=1), sample(patched, prompts, seed=2)
    alone, own = record_concepts(model, CONCEPTS)
    assert torch.equal(decode(recording, first).values, decode(own, sample(alone, prompts, seed=1)).values)
    assert torch.equal(decode(recording, second).values, decode(own, sample(alone, prompts, seed=2)).values)
    assert not torch.equal(decode(recording, first).values, decode(recording, second).values)


def test_two_apply_nodes_in_a_row_both_record(model, prompts):
    once, first = record_concepts(model, CONCEPTS)
    twice, second = record_concepts(once, CONCEPTS)
    samples = sample(twice, prompts)
    assert torch.equal(samples, sample(model, prompts))
    assert torch.equal(decode(first, samples).values, decode(second, samples).values)


def test_the_denoised_output_of_custom_samplers_is_known_too(model, prompts):
    patched, recording = record_concepts(model, CONCEPTS)
    denoised = []
    samples = sample(patched, prompts, last_step=2, callback=lambda step, x0, x, total: denoised.append(x0))
    given_out = model.model.process_latent_out(denoised[-1].cpu())
    assert not torch.equal(given_out, samples)
    assert torch.equal(decode(recording, given_out).values, decode(recording, samples).values)


def state_of(model):
    return repr(model.model_options), {name: value.clone() for name, value in model.model.state_dict().items()}


def assert_same_state(before, after):
    assert before[0] == after[0]
    assert before[1].keys() == after[1].keys() and all(torch.equal(before[1][name], after[1][name]) for name in before[1])


@pytest.mark.parametrize("fault", [comfy.model_management.InterruptProcessingException, RuntimeError])
def test_a_fault_in_mid_sampling_leaves_nothing_behind(model, prompts, fault):
    before = state_of(model)
    patched, recording = record_concepts(model, CONCEPTS)

    def stop(step, x0, x, total):
        if step == 1:
            raise fault

    with pytest.raises(fault):
        sample(patched, prompts, callback=stop)
    assert recording.runs == []
    assert_same_state(before, state_of(model))
    samples = sample(patched, prompts)
    assert torch.equal(samples, sample(model, prompts))
    assert len(recording.runs) == 1 and len(recording.runs[0].steps) == 4


def test_a_fault_inside_a_block_leaves_nothing_behind(model, prompts):
    broken = model.clone()
    calls = []

    def fail(args, extra):
        calls.append(1)
        if len(calls) == 2:
            raise torch.cuda.OutOfMemoryError("no memory")
        return extra["original_block"](args)

    broken.set_model_patch_replace(fail, "dit", "double_block", 1)
    patched, recording = record_concepts(broken, CONCEPTS)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        sample(patched, prompts)
    assert recording.runs == []
    assert torch.equal(sample(patched, prompts), sample(model, prompts)) and len(recording.runs) == 1


def test_replacements_and_overrides_that_are_there_still_run(model, prompts):
    other = model.clone()
    seen = {"block": 0, "attention": 0}

    def replacement(args, extra):
        seen["block"] += 1
        out = extra["original_block"](args)
        return {**out, "img": out["img"] * 1.5}

    def override(function, *args, **kwargs):
        seen["attention"] += 1
        return 0.5 * function(*args, **kwargs)

    other.set_model_patch_replace(replacement, "dit", "double_block", 0)
    other.model_options["transformer_options"]["optimized_attention_override"] = override
    plain = sample(other, prompts)
    expected = dict(seen)
    patched, recording = record_concepts(other, CONCEPTS)
    seen.update(block=0, attention=0)
    assert torch.equal(sample(patched, prompts), plain)
    assert seen == expected and not torch.equal(plain, sample(model, prompts))
    assert len(recording.runs[0].steps) == 4


def test_a_call_whose_block_is_skipped_is_not_recorded(model, prompts):
    other = model.clone()
    calls = []

    def skip_sometimes(args, extra):
        calls.append(1)
        return {"img": args["img"], "txt": args["txt"]} if len(calls) == 2 else extra["original_block"](args)

    other.set_model_patch_replace(skip_sometimes, "dit", "double_block", 1)
    patched, recording = record_concepts(other, CONCEPTS)
    sample(patched, prompts)
    assert len(recording.runs[0].steps) == 3


def test_reference_latents_are_not_part_of_the_picture(model, prompts):
    context, options = prompts[0][0]
    with_reference = [[context, {**options, "reference_latents": [torch.randn(1, 16, 6, 6)]}]]
    patched, recording = record_concepts(model, CONCEPTS, spaces="all")
    samples = sample(patched, [with_reference, prompts[1]])
    assert torch.equal(samples, sample(model, [with_reference, prompts[1]]))
    assert decode(recording, samples, "value").values.shape == (1, 3, 4, 6)


def test_a_part_of_the_picture_is_refused(model, prompts):
    context, options = prompts[0][0]
    area = [[context, {**options, "area": (4, 6, 0, 0), "strength": 1.0}]]
    patched, recording = record_concepts(model, CONCEPTS)
    with pytest.raises(ValueError, match="Take out conditioning areas"):
        sample(patched, [area, prompts[1]])
    assert recording.runs == []


def test_the_positive_prompt_is_found_where_another_guider_puts_it(model, prompts):
    """DualCFGGuider calls the model on negative, middle, positive, in that order."""
    positive, negative = prompts
    latent = torch.zeros(1, 16, 8, 12)
    noise, sampler, sigmas = comfy.sample.prepare_noise(latent, 0), comfy.samplers.sampler_object("euler"), torch.tensor([1.0, 0.6])
    steps = []
    for guider_class in (Guider_DualCFG, comfy.samplers.CFGGuider):
        patched, recording = record_concepts(model, CONCEPTS)
        guider = guider_class(patched)
        if guider_class is Guider_DualCFG:
            guider.set_conds(positive, negative, negative)
            guider.set_cfg(3.0, 2.0)
        else:
            guider.set_conds(positive, negative)
            guider.set_cfg(1.0)
        guider.sample(noise, latent, sampler, sigmas)
        steps.append(recording.runs[0].steps[1.0]["output"])
    torch.testing.assert_close(steps[0], steps[1], rtol=1e-4, atol=1e-4)
