"""Concept Lock: the source's latent is kept outside of a live map, or inside it, step by step."""

import logging
from itertools import product

import comfy.hooks
import comfy.latent_formats
import pytest
import torch
from comfy.samplers import KSAMPLER, SAMPLER_NAMES, CFGGuider
from comfy_extras.nodes_differential_diffusion import DifferentialDiffusion
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from comfy_extras.nodes_nag import NAGuidance
from comfy_extras.nodes_slg import SkipLayerGuidanceDiT
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record import lock, receiver
from concept_attention.concept_core.record.lock import with_lock
from concept_attention.concept_core.record.regions import with_region
from concept_attention.concept_core.recording.recipe import Recipe
from concept_attention.concept_core.steer.live import Shape
from concept_attention.concept_core.steer.lock import KEEPS, Lock, kept_exactly
from concept_attention.concept_core.steer.region import Region
from concept_attention.demo_model.vae import load_vae
from kinds import KINDS_OF_PICTURES, by_turns
from patches import control_net, lora
from steered import SIZE, changed, contrast, mask_of_step, recorded, sharp_masks, warnings  # noqa: F401

pytestmark = pytest.mark.usefixtures("sharp_masks")

REST, CONCEPT = KEEPS


def source_of(kind, batch=1, seed=7):
    """A latent that is not empty."""
    empty = kind.latent(batch=batch)
    return torch.randn(empty.shape, generator=torch.Generator().manual_seed(seed))


def locked(kind, from_percent=0.0, keep=REST, model=None, concept="", **shape):
    """(model with the lock, recording)"""
    patched, recording = recorded(kind, model)
    return with_lock(patched, Lock(recording, concept or contrast(kind.name)[1], from_percent, Shape(**shape), keep)), recording


def painted_of_first_step(recording, kind, latent, keep=REST):
    """As wide as a latent."""
    mask = mask_of_step(recording, kind, latent.shape[-2:])
    mask = mask if keep == REST else 1 - mask
    return mask.reshape(len(mask), *[1] * (latent.ndim - 3), *mask.shape[-2:])


def by_hand(painted, source):
    """A sampler of two steps of Euler's, which paints in the second one where `painted` is."""

    def sample(model_k, x, sigmas, extra_args, callback, disable):
        model, first, second, last = model_k.inner_model, *sigmas
        inner, options = model.inner_model, extra_args["model_options"]
        source_in = inner.process_latent_in(source)
        x = x + (x - model(x, first.expand(len(x)), model_options=options)) / first * (second - first)
        noised = inner.model_sampling.noise_scaling(second, model_k.noise, source_in)
        denoised = model(x * painted + noised * (1 - painted), second.expand(len(x)), model_options=options)
        denoised = denoised * painted + source_in * (1 - painted)
        x = x + (x - denoised) / second * (last - second)
        return torch.where(painted == 0, source_in, x)

    return KSAMPLER(sample)


@pytest.mark.parametrize(
    ("picture_kind", "keep", "cfg"), by_turns(KINDS_OF_PICTURES, [*product(KEEPS, (3.0, 1.0))]), indirect=["picture_kind"]
)
def test_its_mask_is_the_map_of_the_step_before(picture_kind, keep, cfg):
    kind, source = picture_kind, source_of(picture_kind, batch=2)
    model, recording = locked(kind, keep=keep)
    samples = kind.sample(model, steps=2, cfg=cfg, latent=source)
    painted = painted_of_first_step(recording, kind, source, keep)

    guider = CFGGuider(kind.model)
    guider.set_conds(kind.prompts[0], kind.prompts[1])
    guider.set_cfg(cfg)
    sigmas = torch.tensor([*sorted(recording.runs[0].steps, reverse=True), 0.0])
    noise = torch.randn(source.shape, generator=torch.manual_seed(0))
    expected = guider.sample(noise, source, by_hand(painted, source), sigmas, disable_pbar=True, seed=0)
    torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)

    kept = (painted == 0).expand_as(source)
    assert kept.any() and not kept.all()
    torch.testing.assert_close(samples[kept], source[kept], rtol=1e-5, atol=1e-5)
    plain = kind.sample(steps=2, cfg=cfg, latent=source)
    assert (plain[kept] - source[kept]).abs().mean() > 0.01 and not torch.equal(plain[~kept], source[~kept])


def noise_mask_from_second_step(model, mask):
    """A MODEL in which ComfyUI's own noise mask holds from the second step on."""

    def function(sigma, denoise_mask, extra_options):
        return torch.ones_like(denoise_mask) if sigma[0] == extra_options["sigmas"][0] else denoise_mask * mask

    model = model.clone()
    model.set_model_denoise_mask_function(function)
    return model


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_it_is_what_comfyuis_noise_mask_does(kind, cfg):
    """But for rounding at the end, where it is the source itself."""
    source = source_of(kind)
    model, recording = locked(kind)
    samples = kind.sample(model, steps=2, cfg=cfg, latent=source)
    painted = painted_of_first_step(recording, kind, source)
    other = noise_mask_from_second_step(kind.model, painted)
    expected = kind.sample(other, steps=2, cfg=cfg, latent=source, noise_mask=torch.ones(1, *SIZE))
    torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)


def test_it_is_multiplied_with_a_noise_mask_and_what_makes_others_of_it(kind):
    source, half = source_of(kind), torch.zeros(1, *SIZE)
    half[..., 6:] = 0.95  # above what Differential Diffusion paints in the second of two steps
    for before in (True, False):  # whichever node comes first
        model, recording = locked(kind, model=DifferentialDiffusion.execute(kind.model).args[0] if before else None)
        model = model if before else DifferentialDiffusion.execute(model).args[0]
        samples = kind.sample(model, steps=2, latent=source, noise_mask=half)
        painted = painted_of_first_step(recording, kind, source)

        def function(sigma, mask, extra_options, painted=painted):
            soft = DifferentialDiffusion.forward(sigma, mask, extra_options, 1.0)
            return soft if sigma[0] == extra_options["sigmas"][0] else soft * painted

        by_hand = kind.model.clone()
        by_hand.set_model_denoise_mask_function(function)
        expected = kind.sample(by_hand, steps=2, latent=source, noise_mask=half)
        torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)
        assert (samples - source).abs().amax(1)[half > 0].max() > 0.01


@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_one_that_never_closes_is_as_if_it_were_not_there(kind, cfg):
    source = source_of(kind)
    for latent in (source, kind.latent()):
        model, _ = locked(kind, from_percent=1.0)
        assert torch.equal(kind.sample(model, cfg=cfg, latent=latent), kind.sample(cfg=cfg, latent=latent))


def test_from_percent_is_of_the_schedule(kind):
    """What is denoised is the plain sampling's up to the first step beyond it, and no longer after."""
    source, shown = source_of(kind), {}
    for start in (0.6, 1.0):
        model, recording = locked(kind, from_percent=start)
        kind.sample(model, steps=8, latent=source, callback=lambda step, denoised, *_, to=shown.setdefault(start, []): to.append(denoised))
    sigma = kind.model.get_model_object("model_sampling").percent_to_sigma(0.6)
    expected = [step > sigma for step in sorted(recording.runs[0].steps, reverse=True)]
    assert 2 <= sum(expected) <= 6
    assert [torch.equal(*pair) for pair in zip(*shown.values())] == expected


def test_each_picture_has_its_own_mask(kind):
    source, noise = source_of(kind, batch=3), torch.randn(3, 16, *SIZE, generator=torch.Generator().manual_seed(5))
    made = [
        kind.sample(locked(kind)[0], latent=latent, noise=drawn)
        for latent, drawn in ((source, noise), *zip(source.split(1), noise.split(1)))
    ]
    torch.testing.assert_close(made[0], torch.cat(made[1:]), rtol=1e-3, atol=1e-3)


def kept_at_last(recording, kind, latent):
    """Where nothing is painted at the end: the last step paints where the map of the step before was."""
    kept = (mask_of_step(recording, kind, latent.shape[-2:], -2) == 0)[:, None].expand_as(latent)
    assert 0.2 < kept.float().mean() < 0.8
    return kept


def is_kin(sampler):
    """As euler_ancestral is of euler's."""
    return any(sampler.startswith(f"{other}_") for other in SAMPLER_NAMES)


@pytest.mark.long
@pytest.mark.parametrize(
    "sampler",
    [pytest.param(name, marks=[pytest.mark.every] if is_kin(name) else []) for name in SAMPLER_NAMES if not name.endswith("_gpu")],
)
def test_every_sampler_keeps_the_source_where_the_final_mask_is_not(flux, sampler, monkeypatch):
    """Where the model was asked last is the sampler's own affair, so that the mask is taken from there."""
    final = []
    monkeypatch.setattr(
        lock, "kept_exactly", lambda samples, source, painted: final.append(painted) or kept_exactly(samples, source, painted)
    )
    source = source_of(flux)
    samples = flux.sample(locked(flux)[0], sampler=sampler, steps=4, latent=source)
    kept = (final[0] == 0).expand_as(source)
    assert torch.isfinite(samples).all() and 0.2 < kept.float().mean() < 0.8
    torch.testing.assert_close(samples[kept], source[kept], rtol=1e-5, atol=1e-5)
    assert (flux.sample(sampler=sampler, steps=4, latent=source) - source).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize("denoise", [0.4, 0.8])
def test_picture_to_picture(kind, denoise):
    source = source_of(kind)
    model, recording = locked(kind)
    samples = kind.sample(model, steps=6, latent=source, denoise=denoise)
    kept = kept_at_last(recording, kind, source)
    torch.testing.assert_close(samples[kept], source[kept], rtol=1e-5, atol=1e-5)
    assert decode(recording, samples).values.shape[0] == 1  # its own recording knows it


def test_a_second_sampler_goes_on_with_the_source_of_the_first(kind):
    """KSamplerAdvanced in two or three parts is the same as in one, but for rounding: batches and what is taken out of them too."""
    source = source_of(kind, batch=2)

    def sample(parts, model, take=slice(None)):
        latent, noise = source, None
        for start, end in parts:
            latent = kind.sample(model, latent=latent, noise=noise, start_step=start, last_step=end, steps=6)
            latent = latent if end == 6 else latent[take]
            noise = torch.zeros_like(latent)
        return latent

    whole = sample([(0, 6)], locked(kind)[0])
    for parts, take in (([(0, 3), (3, 6)], slice(None)), ([(0, 2), (2, 4), (4, 6)], slice(None)), ([(0, 3), (3, 6)], slice(1, 2))):
        joined = sample(parts, locked(kind)[0], take)
        torch.testing.assert_close(joined, whole[take], rtol=0, atol=0.05)  # sharp masks make much of rounding
    assert (whole - kind.sample(latent=source, steps=6)).abs().max() > 0.5


def test_without_the_first_samplers_noise_there_is_no_source(kind):
    half_done = kind.sample(latent=source_of(kind), last_step=2)
    with pytest.raises(ValueError, match="Concept Lock does not know the source"):
        kind.sample(locked(kind)[0], latent=half_done, noise=torch.zeros_like(half_done), start_step=2)


def test_an_empty_latent_is_refused(kind):
    with pytest.raises(ValueError, match="Concept Lock keeps a part of the latent that the sampler starts from, and that one is empty"):
        kind.sample(locked(kind)[0])


def test_edit_models_with_references(kind_with_references):
    kind = kind_with_references
    source = source_of(kind)
    prompt = changed(kind.prompts[0], reference_latents=[source_of(kind, seed=3)])
    model, recording = locked(kind)
    samples = kind.sample(model, steps=2, latent=source, positive=prompt)
    kept = (painted_of_first_step(recording, kind, source) == 0).expand_as(source)
    assert kept.any() and not kept.all()
    torch.testing.assert_close(samples[kept], source[kept], rtol=1e-5, atol=1e-5)
    assert not torch.equal(samples, kind.sample(latent=source, steps=2, positive=prompt))


def test_softness_and_grow_are_of_the_concepts_place(kind):
    source, reach = source_of(kind), {}
    for keep in KEEPS:
        for grow in (0, 8):
            model, recording = locked(kind, keep=keep, grow=grow)
            samples = kind.sample(model, steps=2, latent=source)
            reach[keep, grow] = int(((samples - source).abs().amax(1) < 1e-5).sum())
    assert reach[REST, 8] < reach[REST, 0] and reach[CONCEPT, 8] > reach[CONCEPT, 0]


def skip_layer(model):
    return SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, "1", "0").args[0]


def cached(model):
    return EasyCacheNode.execute(model, 0.1, 0.2, 0.9, False).args[0]


def lazily_cached(model):
    return LazyCacheNode.execute(model, 0.1, 0.2, 0.9, False).args[0]


def nag(model):
    return NAGuidance.execute(model, 3.0, 0.5, 2.0).args[0]


@pytest.mark.parametrize("other", [skip_layer, cached, lazily_cached, nag], ids=lambda other: other.__name__)
def test_beside_other_patches(kind, other):
    source, options = source_of(kind), dict(steps=8, cfg=3.0)
    model, _ = locked(kind, model=other(kind.model))
    samples = kind.sample(model, latent=source, **options)
    plain = kind.sample(locked(kind, 1.0, model=other(kind.model))[0], latent=source, **options)
    assert torch.equal(plain, kind.sample(other(kind.model), latent=source, **options))
    near = (samples - source).abs().amax(1) < 1e-5
    assert torch.isfinite(samples).all() and 0.05 < near.float().mean() < 0.95


def test_controlnet_and_lora_and_an_area(kind):
    control = control_net(kind).set_cond_hint(torch.rand(1, 3, 64, 96), 1.0, (0.0, 1.0), load_vae(comfy.latent_formats.Flux()))
    hooks = comfy.hooks.create_hook_lora(lora(kind.model), 1.0, 0.0)
    first, _, other = kind.prompts
    source = source_of(kind)
    for positive in (
        changed(first, control=control, control_apply_to_uncond=True),
        comfy.hooks.set_hooks_for_conditioning(first, hooks),
        changed(other, area=(4, 6, 2, 4)) + first,
    ):
        model, recording = locked(kind)
        samples = kind.sample(model, steps=2, latent=source, positive=positive)
        painted = painted_of_first_step(recording, kind, source)
        by_mask = noise_mask_from_second_step(kind.model, painted)
        expected = kind.sample(by_mask, steps=2, latent=source, positive=positive, noise_mask=torch.ones(1, *SIZE))
        torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)


def test_beside_a_region_and_a_second_lock(kind):
    """Both act in one sampling, and what two locks leave open is what both leave open."""
    first, _, other = kind.prompts
    patched, recording = recorded(kind)
    concept, source = contrast(kind.name)[1], source_of(kind)
    model = with_lock(with_lock(patched, Lock(recording, concept)), Lock(recording, concept, 0.0, keep=CONCEPT))
    positive = with_region(other, Region(recording, concept)) + first
    samples = kind.sample(model, steps=2, latent=source, positive=positive)
    painted = painted_of_first_step(recording, kind, source)
    both = noise_mask_from_second_step(kind.model, painted * (1 - painted))
    regional = changed(other, mask=mask_of_step(recording, kind), start_percent=0.25) + first
    expected = kind.sample(both, steps=2, latent=source, positive=regional, noise_mask=torch.ones(1, *SIZE))
    torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)


def test_two_apply_nodes(kind):
    """Each lock goes by its own recording, whichever Apply node comes first, and both recordings know the latent."""
    source = source_of(kind)
    for position in (0, 1):
        one, its = recorded(kind)
        both, others = recorded(kind, one)
        recording = (its, others)[position]
        samples = kind.sample(with_lock(both, Lock(recording, contrast(kind.name)[1])), steps=2, latent=source)
        assert torch.equal(samples, kind.sample(locked(kind)[0], steps=2, latent=source))
        assert decode(its, samples).values.shape == decode(others, samples).values.shape
    one, its = locked(kind)
    both, others = recorded(kind, one)
    samples = kind.sample(both, steps=2, latent=source)
    assert decode(its, samples).values.shape == decode(others, samples).values.shape


def test_a_cached_apply_node_locks_the_next_queue_as_a_new_one_would(kind):
    cached, recording = locked(kind)
    for seed in (1, 2, 1):
        options = dict(steps=3, latent=source_of(kind, seed=seed))
        assert torch.equal(kind.sample(cached, **options), kind.sample(locked(kind)[0], **options))
    assert len(recording.runs) > 1


def test_another_nodes_model_is_refused(kind):
    _, recording = recorded(kind)
    for model in (kind.model, recorded(kind)[0]):
        with pytest.raises(ValueError, match="connect the model that came out of that Apply node"):
            with_lock(model, Lock(recording, contrast(kind.name)[1]))


def kept(caplog):
    return warnings(caplog, "kept")


@pytest.mark.parametrize("keep", KEEPS)
def test_a_concept_that_is_not_there_is_said(kind, keep, caplog):
    """Scores that are flat: no concept is anywhere. So nothing may change but it; or there is nothing to keep."""
    source = source_of(kind, batch=2)
    model, recording = locked(kind, keep=keep, concept="a", grow=512)
    recording.recipe = Recipe(temperature=1e9)
    with caplog.at_level(logging.INFO):
        samples = kind.sample(model, latent=source)
    if keep == REST:
        torch.testing.assert_close(samples, source, rtol=1e-5, atol=1e-5)
    else:
        assert torch.equal(samples, kind.sample(latent=source))
    what = "all" if keep == REST else "nothing"
    assert kept(caplog) == [f"Concept Attention: {what} of picture 1, 2 is kept, since 'a' was not found there."]


@pytest.mark.parametrize("keep", KEEPS)
def test_where_nothing_was_heard_all_is_kept(kind, keep, caplog):
    source = source_of(kind)
    patched, recording = kind.record(None, 0.9999, 1.0)
    model = with_lock(patched, Lock(recording, "a", keep=keep))
    with caplog.at_level(logging.INFO):
        samples = kind.sample(model, latent=source)
    torch.testing.assert_close(samples, source, rtol=1e-5, atol=1e-5)
    assert kept(caplog) == ["Concept Attention: all of picture 1 is kept, since no step was recorded before."]


@pytest.mark.parametrize("keep", KEEPS)
def test_where_maps_are_lost_all_is_kept(kind, keep, caplog, monkeypatch):
    monkeypatch.setattr(receiver, "MAX_NBYTES", 0)
    source = source_of(kind)
    model, _ = locked(kind, keep=keep)
    with caplog.at_level(logging.INFO):
        samples = kind.sample(model, latent=source)
    torch.testing.assert_close(samples, source, rtol=1e-5, atol=1e-5)
    assert kept(caplog) == [
        "Concept Attention: all of the picture is kept from here on, since the scores of one sampling grew beyond 0 GB."
    ]


def test_an_interrupt_leaves_nothing_behind(kind):
    source = source_of(kind)
    model, _ = locked(kind)

    def stop(step, *_):
        if step == 1:
            raise InterruptedError

    before = kind.sample(model, latent=source)
    with pytest.raises(InterruptedError):
        kind.sample(model, latent=source, callback=stop)
    assert torch.equal(kind.sample(model, latent=source), before)
