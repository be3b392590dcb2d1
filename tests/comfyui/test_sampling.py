"""What users count on while a model samples: the same picture, its own run, nothing left behind."""

import comfy.model_management
import comfy.sample
import comfy.samplers
import pytest
import tiny
import torch
from comfy_extras import nodes_custom_sampler as custom
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.recording.recording import MAX_OLDER
from kinds import by_turns

SAMPLERS, SCHEDULERS = comfy.samplers.SAMPLER_NAMES, comfy.samplers.SCHEDULER_NAMES


def assert_same_maps(maps, others):
    torch.testing.assert_close(maps, others, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("sampler", "kind"), by_turns(SAMPLERS, ["flux", "sd3"]), indirect=["kind"])
def test_every_sampler_paints_the_same_picture(kind, sampler):
    """With --every each with CFG on one of the two models and without on the other."""
    place = SAMPLERS.index(sampler)
    cfg = (1.0, 4.5)[(place // 2 + place + (kind.name == "sd3")) % 2]
    options = dict(sampler=sampler, cfg=cfg, steps=3, batch=2, size=(7, 10))
    patched, recording = kind.record()
    samples = kind.sample(patched, **options)
    assert torch.isfinite(samples).all()
    assert torch.equal(samples, kind.sample(**options))
    assert recording.runs[0].steps and torch.isfinite(decode(recording, samples).values).all()


@pytest.mark.parametrize(("scheduler", "kind"), by_turns(SCHEDULERS, ["flux", "sd3"]), indirect=["kind"])
def test_every_scheduler_paints_the_same_picture(kind, scheduler):
    patched, recording = kind.record(spaces="all")
    samples = kind.sample(patched, scheduler=scheduler)
    assert torch.equal(samples, kind.sample(scheduler=scheduler))
    assert torch.isfinite(decode(recording, samples, "value").values).all()


@pytest.mark.long
@pytest.mark.parametrize(("batch", "kind"), by_turns([2, 1, 3, 5], ["sd3", "flux"]), indirect=["kind"])
@pytest.mark.parametrize(("size", "grid"), [((8, 12), (4, 6)), ((12, 8), (6, 4)), ((7, 9), (4, 5)), ((1, 2), (1, 1))])
def test_each_picture_of_a_batch_has_the_maps_that_it_has_alone(kind, batch, size, grid):
    """Samplers and CFG by turns, so that each meets every batch and every size."""
    turn = [1, 2, 3, 5].index(batch) + size[0]
    sampler, cfg = ("euler", "heun", "dpmpp_2m")[turn % 3], (1.0, 4.5)[turn % 2]
    patched, recording = kind.record()
    options = dict(size=size, cfg=cfg, sampler=sampler, steps=2)
    samples = kind.sample(patched, batch=batch, **options)
    assert torch.equal(samples, kind.sample(batch=batch, **options))
    maps = decode(recording, samples)
    assert maps.values.shape == (batch, 3, *grid) and maps.image_size == (size[0] * 8, size[1] * 8)
    torch.testing.assert_close(maps.values.sum(1), torch.ones(batch, *grid))
    noise = comfy.sample.prepare_noise(torch.zeros(batch, 16, *size), 0)
    for row in range(batch):
        alone = kind.sample(patched, noise=noise[row : row + 1], **options)
        assert_same_maps(maps.values[row], decode(recording, alone).values[0])


@pytest.mark.parametrize(("dtype", "sampler"), by_turns([torch.float8_e4m3fn, torch.float16, torch.bfloat16], ["euler", "dpmpp_2m", "lcm"]))
def test_other_weight_types(kind, sampler, dtype):
    model = {"flux": tiny.flux, "sd3": tiny.sd3}[kind.name](dtype=dtype)
    patched, recording = kind.record(model, spaces="all")
    samples = kind.sample(patched, sampler=sampler, cfg=2.0)
    assert torch.equal(samples, kind.sample(model, sampler=sampler, cfg=2.0))
    assert torch.isfinite(decode(recording, samples).values).all()


@pytest.mark.parametrize("options", [{"guidance": False}, {"channels": 96}], ids=["schnell", "Fill"])
def test_other_kinds_of_flux(flux, options):
    model = tiny.flux(**options)
    patched, recording = flux.record(model, spaces="all")
    samples = flux.sample(patched, size=(7, 12))
    assert torch.equal(samples, flux.sample(model, size=(7, 12)))
    assert decode(recording, samples, "value").values.shape == (1, 3, 4, 6)


def test_steps_are_counted_by_sigma_not_by_call(kind):
    steps = {}
    for sampler in ("euler", "heun", "dpm_2"):
        patched, recording = kind.record()
        kind.sample(patched, sampler=sampler)
        steps[sampler] = recording.runs[0].steps
    assert list(steps["heun"]) == list(steps["euler"]) and len(steps["euler"]) == 4
    assert len(steps["dpm_2"]) == 7  # four steps, and a midpoint in all but the last


def test_nothing_is_recorded_outside_the_window(kind):
    patched, recording = kind.record(None, 0.3, 0.7)
    samples = kind.sample(patched, steps=10)
    sampling = kind.model.get_model_object("model_sampling")
    sigmas = list(recording.runs[0].steps)
    assert sigmas and all(sampling.percent_to_sigma(0.7) <= sigma <= sampling.percent_to_sigma(0.3) for sigma in sigmas)
    with pytest.raises(ValueError, match="No recorded step lies between 0.8 and 1: [0-9]+ steps are recorded, between sigma"):
        decode(recording, samples, start_percent=0.8)
    patched, recording = kind.record(None, 0.9999, 1.0)
    with pytest.raises(ValueError, match="none was recorded. Widen start_percent and end_percent of the Apply node"):
        decode(recording, kind.sample(patched, cfg=2.0))


def test_a_sampler_at_denoise_0_takes_no_step(kind):
    patched, recording = kind.record()
    samples = kind.sample(patched, latent=torch.ones(1, 16, 8, 12), denoise=0.0)
    assert torch.equal(samples, torch.ones(1, 16, 8, 12))
    with pytest.raises(ValueError, match="no sampler has taken a step with the model.*see that its denoise is above 0"):
        decode(recording, samples)


def test_the_tests_models_round_alike_however_much_memory_is_free(kind, monkeypatch):
    """Where it is short ComfyUI runs positive and negative apart, which rounds otherwise: see tiny.py."""
    samples = kind.sample(cfg=4.5)

    def little(device=None, torch_free_too=False):
        return (50 << 20, 50 << 20) if torch_free_too else 50 << 20

    monkeypatch.setattr(comfy.model_management, "get_free_memory", little)
    assert torch.equal(kind.sample(cfg=4.5), samples)


def test_two_samplers_on_one_model_are_decoded_each_to_its_own(kind):
    patched, recording = kind.record()
    first, second = kind.sample(patched, seed=1), kind.sample(patched, seed=2)
    alone, own = kind.record()
    assert torch.equal(decode(recording, first).values, decode(own, kind.sample(alone, seed=1)).values)
    assert torch.equal(decode(recording, second).values, decode(own, kind.sample(alone, seed=2)).values)
    assert not torch.equal(decode(recording, first).values, decode(recording, second).values)


def test_two_apply_nodes_in_a_row_both_record(kind):
    once, first = kind.record(spaces="all")
    twice, second = kind.record(once, spaces="all")
    samples = kind.sample(twice, cfg=2.0)
    assert torch.equal(samples, kind.sample(cfg=2.0))
    for space in ("output", "cross-attention", "value"):
        assert torch.equal(decode(first, samples, space).values, decode(second, samples, space).values)


def test_branches_of_one_apply_node(kind):
    """Both record, and a further patch on one of them does not reach the other."""
    patched, recording = kind.record()
    branch = patched.clone()
    branch.set_model_patch_replace(lambda args, extra: {**args, "img": args["img"] * 1.5}, "dit", "double_block", 2)
    plain, other = kind.sample(patched), kind.sample(branch)
    assert torch.equal(plain, kind.sample()) and not torch.equal(plain, other)
    decode(recording, plain)
    if kind.name == "flux":  # the branch's patch takes the place of a block that has a concept output
        with pytest.raises(ValueError, match="none was recorded, since a block of the model was left out or replaced.*: take"):
            decode(recording, other)


def test_the_denoised_output_of_custom_samplers_is_known_too(kind):
    patched, recording = kind.record()
    denoised = []
    samples = kind.sample(patched, last_step=2, callback=lambda step, x0, x, total: denoised.append(x0))
    given_out = kind.model.model.process_latent_out(denoised[-1].cpu())
    assert not torch.equal(given_out, samples)
    assert torch.equal(decode(recording, given_out).values, decode(recording, samples).values)


def test_custom_sampling_nodes(kind):
    """SamplerCustomAdvanced with a BasicGuider: both of its latents are known."""
    patched, recording = kind.record()
    outputs = []
    for model in (kind.model, patched):
        noise = custom.RandomNoise.execute(7).args[0]
        guider = custom.BasicGuider.execute(model, kind.prompts[0]).args[0]
        sampler = custom.KSamplerSelect.execute("dpmpp_2m").args[0]
        sigmas = custom.BasicScheduler.execute(model, "beta", 4, 1.0).args[0][:3]
        latent = {"samples": torch.zeros(2, 16, 8, 12)}
        outputs.append(custom.SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent).args)
    plain, (samples, denoised) = outputs
    assert torch.equal(samples["samples"], plain[0]["samples"]) and torch.equal(denoised["samples"], plain[1]["samples"])
    assert not torch.equal(samples["samples"], denoised["samples"])
    maps = decode(recording, samples["samples"])
    assert maps.values.shape == (2, 3, 4, 6) and torch.equal(maps.values, decode(recording, denoised["samples"]).values)


def test_only_the_last_runs_are_kept(kind):
    patched, recording = kind.record()
    latents = [kind.sample(patched, seed=seed, steps=1) for seed in range(12)]
    assert len(recording.runs) == MAX_OLDER + 1
    decode(recording, latents[-MAX_OLDER - 1])
    with pytest.raises(ValueError, match="Of earlier queues only the last 8 samplings are kept"):
        decode(recording, latents[-MAX_OLDER - 2])


def test_start_and_end_steps(kind):
    """KSamplerAdvanced twice on one model, the second going on from the first: together they are one sampling."""
    patched, recording = kind.record()
    whole = kind.sample(patched, steps=6, cfg=2.0)
    first = kind.sample(patched, steps=6, cfg=2.0, last_step=2)
    nothing = torch.zeros(1, 16, 8, 12)
    second = kind.sample(patched, steps=6, cfg=2.0, latent=first, noise=nothing, disable_noise=True, start_step=2)
    runs = [recording.run_of(samples)[0] for samples in (whole, first, second)]
    assert [len(run.steps) for run in runs] == [6, 2, 4]
    continued = runs[1].steps | runs[2].steps
    for sigma, scores in runs[0].steps.items():
        torch.testing.assert_close(continued[sigma]["output"], scores["output"], rtol=1e-3, atol=1e-3)


def test_a_second_pass_that_only_changes_the_latent_a_little(kind):
    """Img2img at low denoise on the first pass's latent, with a noise mask, of another size in between."""
    patched, recording = kind.record()
    first = kind.sample(patched, cfg=2.0)
    larger = torch.nn.functional.interpolate(first, (12, 18))
    mask = torch.zeros(1, 1, 12, 18)
    mask[..., 6:, :] = 1
    again = dict(latent=larger, denoise=0.5, noise_mask=mask, cfg=2.0)
    second = kind.sample(patched, **again)
    assert torch.equal(second, kind.sample(**again))
    assert decode(recording, first).values.shape[2:] == (4, 6) and decode(recording, second).values.shape[2:] == (6, 9)
    torch.testing.assert_close(second[..., :5, :], larger[..., :5, :], rtol=1e-3, atol=1e-3)


def test_batches_with_noise_numbers(kind):
    """LatentFromBatch and RepeatLatentBatch name each picture's noise."""
    patched, recording = kind.record()
    whole = kind.sample(patched, batch=3)
    part = kind.sample(patched, batch=2, noise_inds=[2, 0])
    maps, of_part = decode(recording, whole).values, decode(recording, part).values
    assert_same_maps(of_part[0], maps[2])
    assert_same_maps(of_part[1], maps[0])


def test_a_picture_that_overflowed_is_called_so(kind):
    patched, recording = kind.record()
    samples = kind.sample(patched)
    with pytest.raises(ValueError, match="samples hold NaN or infinity.*Sample in bfloat16"):
        decode(recording, samples * float("nan"))


def test_a_sampler_that_changes_the_pictures_size_is_refused(kind):
    """As SamplerLCMUpscale does."""

    def enlarge(model, x, sigmas, extra_args=None, callback=None, disable=None):
        for sigma in sigmas[:-1]:
            x = torch.nn.functional.interpolate(model(x, sigma.expand(len(x)), **extra_args), scale_factor=1.5)
        return x

    patched, recording = kind.record()
    guider = custom.BasicGuider.execute(patched, kind.prompts[0]).args[0]
    sampler = comfy.samplers.KSAMPLER(enlarge)
    with pytest.raises(ValueError, match="samplers that enlarge the latent"):
        guider.sample(torch.randn(1, 16, 8, 12), torch.zeros(1, 16, 8, 12), sampler, torch.tensor([1.0, 0.5, 0.0]))


def test_weights_are_used_for_the_picture_first(kind):
    """ComfyUI may round a weight that it loads on demand after its first use: that use must be the picture's."""
    network = kind.model.model.diffusion_model
    prompt_tokens, seen = kind.prompts[0][0][0].shape[1], {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear) and ("txt" in name or "context" in name):
            hooks.append(module.register_forward_pre_hook(lambda m, x, name=name: seen.setdefault(name, []).append(x[0].shape[1])))
    try:
        kind.sample(kind.record()[0], steps=1)
    finally:
        for hook in hooks:
            hook.remove()
    by_token = {name: lengths for name, lengths in seen.items() if lengths[0] in (4, prompt_tokens)}
    assert any(4 in lengths for lengths in by_token.values())
    assert all(lengths[0] == prompt_tokens for lengths in by_token.values())
