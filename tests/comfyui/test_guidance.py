"""Concept Guidance: CFG that is scaled where a live map is, whatever makes the guided prediction."""

import inspect
import logging

import comfy.hooks
import comfy.latent_formats
import comfy.samplers
import pytest
import torch
from comfy.samplers import CFGGuider
from comfy_extras.nodes_apg import APG
from comfy_extras.nodes_cfg import CFGNorm, CFGZeroStar
from comfy_extras.nodes_custom_sampler import Guider_DualCFG
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from comfy_extras.nodes_mahiro import Mahiro
from comfy_extras.nodes_model_advanced import RescaleCFG
from comfy_extras.nodes_nag import NAGuidance
from comfy_extras.nodes_perpneg import Guider_PerpNeg
from comfy_extras.nodes_slg import SkipLayerGuidanceDiT
from comfy_extras.nodes_tcfg import TCFG
from concept_attention.concept_core.record import receiver
from concept_attention.concept_core.record.guidance import with_guidance
from concept_attention.concept_core.record.lock import with_lock
from concept_attention.concept_core.record.regions import with_region
from concept_attention.concept_core.recording.recipe import Recipe
from concept_attention.concept_core.steer.guidance import Guidance
from concept_attention.concept_core.steer.lock import Lock
from concept_attention.concept_core.steer.region import Region
from concept_attention.demo_model.vae import load_vae
from kinds import KINDS_OF_PICTURES, by_turns
from patches import control_net, lora
from steered import SIZE, TAKES_MANY_STEPS, changed, contrast, mask_of_step, recorded, sharp_masks, warnings  # noqa: F401

pytestmark = pytest.mark.usefixtures("sharp_masks")


def guided(kind, scale=2.0, from_percent=0.0, model=None, concept=""):
    """(model with the guidance, recording)"""
    patched, recording = recorded(kind, model)
    return with_guidance(patched, Guidance(recording, concept or contrast(kind.name)[1], from_percent, scale=scale)), recording


def as_wide_as(mask, latent):
    return mask.reshape(len(mask), *[1] * (latent.ndim - 3), *mask.shape[-2:])


class TwoStrengths(CFGGuider):
    """In its second step two guiders' predictions, one for each cfg, and the mask between them."""

    mask, scale = None, 1.0

    def predict_noise(self, x, timestep, model_options={}, seed=None):
        cfg = self.cfg
        plain = super().predict_noise(x, timestep, model_options, seed)
        if float(timestep[0]) == self.first_sigma:
            return plain
        self.cfg = cfg * self.scale
        strong = super().predict_noise(x, timestep, model_options, seed)
        self.cfg = cfg
        return torch.lerp(plain, strong, self.mask)


def sample_two_strengths(kind, model, mask, scale, cfg=3.0, latent=None, positive=None):
    """Two steps of Euler's with the model asked twice as often."""
    latent = kind.latent() if latent is None else latent
    guider = TwoStrengths(model)
    guider.set_conds(positive or kind.prompts[0], kind.prompts[1])
    guider.set_cfg(cfg)
    sigmas = comfy.samplers.calculate_sigmas(kind.model.get_model_object("model_sampling"), "simple", 2)
    guider.mask, guider.scale, guider.first_sigma = as_wide_as(mask, latent), scale, float(sigmas[0])
    noise = torch.randn(latent.shape, generator=torch.manual_seed(0))
    return guider.sample(noise, latent, comfy.samplers.sampler_object("euler"), sigmas, disable_pbar=True, seed=0)


@pytest.mark.parametrize(("picture_kind", "scale"), by_turns(KINDS_OF_PICTURES, [2.0, 0.0, 0.5]), indirect=["picture_kind"])
def test_between_two_strengths_by_the_map_of_the_step_before(picture_kind, scale):
    kind = picture_kind
    model, recording = guided(kind, scale)
    samples = kind.sample(model, steps=2, batch=2, cfg=3.0)
    mask = mask_of_step(recording, kind, samples.shape[-2:])
    expected = sample_two_strengths(kind, kind.model, mask, scale, latent=kind.latent(batch=2))
    torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)
    plain, away = kind.sample(steps=2, batch=2, cfg=3.0), (as_wide_as(mask, samples) == 0).expand_as(samples)
    assert torch.equal(samples[away], plain[away]) and not torch.equal(samples, plain)


@pytest.mark.parametrize("never", [{"scale": 1.0}, {"from_percent": 1.0}], ids=str)
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_one_that_changes_nothing_is_as_if_it_were_not_there(kind, never, cfg):
    assert torch.equal(kind.sample(guided(kind, **never)[0], cfg=cfg), kind.sample(cfg=cfg))


def test_from_percent_is_of_the_schedule(kind):
    shown = {}
    for start in (0.6, 1.0):
        model, recording = guided(kind, from_percent=start)
        kind.sample(model, steps=8, cfg=3.0, callback=lambda step, denoised, *_, to=shown.setdefault(start, []): to.append(denoised))
    sigma = kind.model.get_model_object("model_sampling").percent_to_sigma(0.6)
    expected = [step > sigma for step in sorted(recording.runs[0].steps, reverse=True)]
    assert 2 <= sum(expected) <= 6
    assert [torch.equal(*pair) for pair in zip(*shown.values())] == expected


OTHERS = {
    "RescaleCFG": lambda model: RescaleCFG().patch(model, 0.7)[0],
    "CFG-Zero*": lambda model: CFGZeroStar.execute(model).args[0],
    "CFGNorm": lambda model: CFGNorm.execute(model, 0.9).args[0],
    "Mahiro": lambda model: Mahiro.execute(model).args[0],
    "TCFG": lambda model: TCFG.execute(model).args[0],
    "SLG": lambda model: SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, "1", "0").args[0],
    "NAG": lambda model: NAGuidance.execute(model, 3.0, 0.5, 2.0).args[0],
}
if "pre_cfg" in inspect.signature(CFGNorm.execute).parameters:  # newer ComfyUIs
    OTHERS["CFGNorm before"] = lambda model: CFGNorm.execute(model, 0.9, True).args[0]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("other", OTHERS)
def test_beside_other_cfg_functions(kind, other, before):
    """Whichever node comes first."""
    patch = OTHERS[other]
    model, recording = guided(kind, model=patch(kind.model) if before else None)
    model = model if before else patch(model)
    samples = kind.sample(model, steps=2, cfg=3.0)
    mask = mask_of_step(recording, kind)
    torch.testing.assert_close(samples, sample_two_strengths(kind, patch(kind.model), mask, 2.0), rtol=1e-4, atol=1e-4)
    assert not torch.equal(samples, kind.sample(patch(kind.model), steps=2, cfg=3.0))


def test_apg_with_momentum_goes_on_once_a_step(kind):
    """Its running average is of the predictions, and these are made once."""
    patch = lambda model: APG.execute(model, 1.0, 5.0, -0.5).args[0]  # noqa: E731
    model, _ = guided(kind, model=patch(kind.model))
    samples = kind.sample(model, steps=4, cfg=3.0)
    assert torch.isfinite(samples).all() and not torch.equal(samples, kind.sample(patch(kind.model), steps=4, cfg=3.0))


def test_functions_that_the_sampler_adds(flux):
    """CFG++ takes the negative prediction out of a function of its own."""
    for sampler in ("euler_cfg_pp", "dpmpp_2m_cfg_pp"):
        samples = flux.sample(guided(flux)[0], sampler=sampler, cfg=1.0)
        assert torch.isfinite(samples).all() and not torch.equal(samples, flux.sample(sampler=sampler, cfg=1.0))


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["heun", "dpm_2", "dpmpp_2m", "dpmpp_2s_ancestral", "dpmpp_sde", "uni_pc", "lcm", TAKES_MANY_STEPS])
def test_samplers(flux, sampler):
    samples = flux.sample(guided(flux)[0], sampler=sampler, steps=4, cfg=3.0)
    plain = flux.sample(sampler=sampler, steps=4, cfg=3.0)
    assert torch.isfinite(samples).all() and not torch.equal(samples, plain)
    assert torch.equal(flux.sample(guided(flux, 1.0)[0], sampler=sampler, steps=4, cfg=3.0), plain)


def test_controlnet_and_lora_and_an_area(kind):
    control = control_net(kind).set_cond_hint(torch.rand(1, 3, 64, 96), 1.0, (0.0, 1.0), load_vae(comfy.latent_formats.Flux()))
    hooks = comfy.hooks.create_hook_lora(lora(kind.model), 1.0, 0.0)
    first, _, other = kind.prompts
    for positive in (
        changed(first, control=control, control_apply_to_uncond=True),
        comfy.hooks.set_hooks_for_conditioning(first, hooks),
        changed(other, area=(4, 6, 2, 4)) + first,
    ):
        model, recording = guided(kind)
        samples = kind.sample(model, steps=2, cfg=3.0, positive=positive)
        expected = sample_two_strengths(kind, kind.model, mask_of_step(recording, kind), 2.0, positive=positive)
        torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)
        assert not torch.equal(samples, kind.sample(steps=2, cfg=3.0, positive=positive))


def test_two_apply_nodes(kind):
    """Each guidance goes by its own recording, whichever Apply node comes first."""
    for position in (0, 1):
        one, its = recorded(kind)
        both, others = recorded(kind, one)
        recording = (its, others)[position]
        guidance = Guidance(recording, contrast(kind.name)[1], scale=2.0)
        samples = kind.sample(with_guidance(both, guidance), steps=2, cfg=3.0)
        assert torch.equal(samples, kind.sample(guided(kind)[0], steps=2, cfg=3.0))


def test_a_second_sampler_goes_on_with_the_maps_of_the_first(kind):
    """KSamplerAdvanced in two parts is the same as in one, but for rounding."""

    def sample(model, parts):
        latent, noise = kind.latent(), None
        for start, end in parts:
            latent = kind.sample(model, cfg=3.0, latent=latent, noise=noise, start_step=start, last_step=end)
            noise = torch.zeros_like(latent)
        return latent

    whole = sample(guided(kind)[0], [(0, 4)])
    torch.testing.assert_close(sample(guided(kind)[0], [(0, 2), (2, 4)]), whole, rtol=0, atol=0.05)  # sharp masks make much of rounding
    assert (whole - kind.sample(cfg=3.0)).abs().max() > 0.5


def test_a_cached_apply_node_guides_the_next_queue_as_a_new_one_would(kind):
    cached, recording = guided(kind)
    for seed in (1, 2, 1):
        noise = torch.randn(kind.latent().shape, generator=torch.Generator().manual_seed(seed))
        options = dict(steps=3, cfg=3.0, noise=noise)
        assert torch.equal(kind.sample(cached, **options), kind.sample(guided(kind)[0], **options))
    assert len(recording.runs) > 1


@pytest.mark.parametrize("cache", [EasyCacheNode, LazyCacheNode])
def test_beside_a_cache_that_spares_the_model(kind, cache):
    cached = lambda model: cache.execute(model, 0.5, 0.1, 0.95, False).args[0]  # noqa: E731
    samples = kind.sample(guided(kind, model=cached(kind.model))[0], steps=8, cfg=3.0)
    assert torch.isfinite(samples).all() and not torch.equal(samples, kind.sample(cached(kind.model), steps=8, cfg=3.0))


def test_two_of_them_are_multiplied(kind):
    patched, recording = recorded(kind)
    concept = contrast(kind.name)[1]
    model = patched
    for scale in (2.0, 0.5):
        model = with_guidance(model, Guidance(recording, concept, scale=scale))
    samples = kind.sample(model, steps=2, cfg=3.0)
    mask = mask_of_step(recording, kind)
    expected = sample_two_strengths(kind, kind.model, (1 + mask) * (1 - mask / 2) - 1, 2.0)
    torch.testing.assert_close(samples, expected, rtol=1e-4, atol=1e-4)


def test_each_picture_has_its_own_mask(kind):
    noise = torch.randn(3, 16, *SIZE, generator=torch.Generator().manual_seed(5))
    made = [kind.sample(guided(kind)[0], cfg=3.0, noise=drawn, latent=kind.latent(batch=len(drawn))) for drawn in (noise, *noise.split(1))]
    torch.testing.assert_close(made[0], torch.cat(made[1:]), rtol=0, atol=0.05)  # sharp masks make much of rounding


def test_beside_region_and_lock(kind):
    patched, recording = recorded(kind)
    concept, source = contrast(kind.name)[1], torch.randn(1, 16, *SIZE, generator=torch.Generator().manual_seed(7))
    options = dict(steps=2, cfg=3.0, latent=source, positive=with_region(kind.prompts[2], Region(recording, concept)) + kind.prompts[0])
    both = [
        kind.sample(order(patched), **options)
        for order in (
            lambda model: with_lock(with_guidance(model, Guidance(recording, concept, scale=2.0)), Lock(recording, concept)),
            lambda model: with_guidance(with_lock(model, Lock(recording, concept)), Guidance(recording, concept, scale=2.0)),
        )
    ]
    assert torch.equal(*both)
    kept = (mask_of_step(recording, kind) == 0)[:, None].expand_as(source)
    torch.testing.assert_close(both[0][kept], source[kept], rtol=1e-5, atol=1e-5)
    lock_alone = kind.sample(with_lock(patched, Lock(recording, concept)), **options)
    assert not torch.equal(both[0], lock_alone)


def test_cfg_of_one_is_refused(kind):
    with pytest.raises(ValueError, match="Concept Guidance scales CFG, and cfg is 1 here"):
        kind.sample(guided(kind)[0], cfg=1.0)


def sampled_by(guider, latent):
    return guider.sample(torch.randn_like(latent), latent, comfy.samplers.sampler_object("euler"), torch.tensor([0.9, 0.5, 0.0]), seed=0)


def test_guiders_that_join_predictions_in_their_own_way_are_refused(kind):
    first, second, third = kind.prompts
    for guider, conds, cfg in (
        (Guider_PerpNeg, (first, second, third), (3.0, 1.0)),
        (Guider_DualCFG, (first, second, third), (3.0, 2.0)),
    ):
        guider = guider(guided(kind)[0])
        guider.set_conds(*conds)
        guider.set_cfg(*cfg)
        guider.cfg = 3.0
        with pytest.raises(ValueError, match=f"Concept Guidance does not know how {type(guider).__name__} joins its predictions"):
            sampled_by(guider, kind.latent())


class OwnWay(CFGGuider):
    def predict_noise(self, x, timestep, model_options={}, seed=None):
        positive, negative = comfy.samplers.calc_cond_batch(
            self.inner_model, [self.conds["positive"], self.conds["negative"]], x, timestep, model_options
        )
        return negative + 2 * (positive - negative)


def test_a_guider_that_asks_no_cfg_function_is_refused(kind):
    guider = OwnWay(guided(kind)[0])
    guider.set_conds(kind.prompts[0], kind.prompts[1])
    guider.set_cfg(2.0)
    with pytest.raises(ValueError, match="Concept Guidance does not know how OwnWay joins its predictions"):
        sampled_by(guider, kind.latent())


def test_another_nodes_model_is_refused(kind):
    _, recording = recorded(kind)
    with pytest.raises(ValueError, match="the one that Concept Guidance gets: connect the model that came out of that Apply node"):
        with_guidance(kind.model, Guidance(recording, contrast(kind.name)[1], scale=2.0))


def test_a_concept_that_is_not_there_changes_nothing_and_is_said(kind, caplog):
    model, recording = guided(kind, concept="a")
    recording.recipe = Recipe(temperature=1e9)
    with caplog.at_level(logging.INFO):
        samples = kind.sample(model, batch=2, cfg=3.0)
    assert torch.equal(samples, kind.sample(batch=2, cfg=3.0))
    said = "Concept Attention: CFG was the same all over picture 1, 2, since 'a' was not found there."
    assert warnings(caplog, "CFG was") == [said]


def test_maps_that_are_lost_change_nothing_and_are_said(kind, caplog, monkeypatch):
    monkeypatch.setattr(receiver, "MAX_NBYTES", 0)
    with caplog.at_level(logging.INFO):
        samples = kind.sample(guided(kind)[0], cfg=3.0)
    assert torch.equal(samples, kind.sample(cfg=3.0))
    assert warnings(caplog, "CFG is") == [
        "Concept Attention: CFG is the same all over the picture from here on, since the scores of one sampling grew beyond 0 GB."
    ]
