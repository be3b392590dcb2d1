"""Concept Region: a conditioning whose mask is the live map of a concept, step by step."""

import logging

import comfy.hooks
import comfy.latent_formats
import pytest
import torch
from comfy_extras.nodes_easycache import EasyCacheNode
from comfy_extras.nodes_nag import NAGuidance
from comfy_extras.nodes_slg import SkipLayerGuidanceDiT
from concept_attention.concept_core.record import receiver
from concept_attention.concept_core.record.regions import with_region
from concept_attention.concept_core.recording.recipe import Recipe
from concept_attention.concept_core.steer.live import Shape
from concept_attention.concept_core.steer.region import Region
from concept_attention.demo_model.vae import load_vae
from kinds import KINDS_OF_PICTURES, by_turns
from patches import control_net, lora
from probe import call_at
from steered import SIZE, TAKES_MANY_STEPS, changed, contrast, mask_of_step, recorded, warnings


def region(recording, conditioning, kind, from_percent=0.0, strength=1.0, concept="", **shape):
    return with_region(conditioning, Region(recording, concept or contrast(kind.name)[1], from_percent, Shape(**shape), strength))


def by_default(base):
    return changed(base, default=True)


@pytest.mark.parametrize(
    ("picture_kind", "base", "cfg"), by_turns(KINDS_OF_PICTURES, [(list, 3.0), (by_default, 1.0)]), indirect=["picture_kind"]
)
def test_its_mask_is_the_map_of_the_step_before(picture_kind, base, cfg):
    """To the bit: as if somebody had stopped after the first of two steps, and drawn the mask of that for the second."""
    first, _, other = picture_kind.prompts
    patched, recording = recorded(picture_kind)
    options = dict(steps=2, batch=2, cfg=cfg)
    samples = picture_kind.sample(patched, positive=region(recording, other, picture_kind, strength=1.5) + base(first), **options)
    mask = mask_of_step(recording, picture_kind, samples.shape[-2:])
    by_hand = changed(other, mask=mask if samples.ndim == 4 else mask[:, None], mask_strength=1.5, start_percent=0.25)
    assert torch.equal(samples, picture_kind.sample(positive=by_hand + base(first), **options))
    assert not torch.equal(samples, picture_kind.plain(**options))


@pytest.mark.parametrize(("never", "cfg"), by_turns([{"from_percent": 1.0}, {"strength": 0.0}], [3.0, 1.0]), ids=str)
@pytest.mark.parametrize("base", [list, by_default], ids=["combined", "default"])
def test_one_that_never_acts_is_as_if_it_were_not_there(kind, base, never, cfg):
    patched, recording = recorded(kind)
    samples = kind.sample(patched, positive=region(recording, kind.prompts[2], kind, **never) + base(kind.prompts[0]), cfg=cfg)
    assert torch.equal(samples, kind.sample(cfg=cfg))


@pytest.mark.parametrize("base", [list, by_default], ids=["combined", "default"])
def test_the_base_prompt_is_what_is_heard(kind, base):
    """Under a default conditioning too, which the model is asked for the whole picture but which counts only where no region is."""
    first, _, other = kind.prompts
    latents = [torch.randn(2, 16, *SIZE, generator=torch.Generator().manual_seed(seed)) for seed in range(2)]
    scores = []
    for regional in (False, True):
        patched, recording = recorded(kind)
        positive = region(recording, other, kind, strength=3.0) + base(first) if regional else first
        with torch.no_grad():
            call_at(patched, positive, latents, [0.9, 0.3])
        scores.append(torch.stack([step["output"] for step in recording.runs[0].steps.values()]))
    assert (scores[1] - scores[0]).abs().max() <= 1e-4 * scores[0].abs().max()


def test_from_percent_is_of_the_schedule(kind):
    """What the model is to denoise is the plain sampling's up to the first step beyond it, and no longer after."""
    first, _, other = kind.prompts
    patched, recording = recorded(kind)
    shown = {}
    for start in (0.6, 1.0):
        positive = region(recording, other, kind, from_percent=start) + first
        latents = shown.setdefault(start, [])
        kind.sample(
            patched, steps=8, positive=positive, callback=lambda step, denoised, x, total, latents=latents: latents.append(denoised)
        )
    sigma = kind.model.get_model_object("model_sampling").percent_to_sigma(0.6)
    expected = [step > sigma for step in sorted(recording.runs[0].steps, reverse=True)]
    assert 2 <= sum(expected) <= 6
    assert [torch.equal(*pair) for pair in zip(*shown.values())] == expected


def test_each_picture_has_its_own_masks(kind):
    first, _, other = kind.prompts
    noise = torch.randn(3, 16, 8, 12, generator=torch.Generator().manual_seed(5))
    made = []
    for pictures in (noise, *noise.split(1)):
        patched, recording = recorded(kind)
        latent = kind.latent(batch=len(pictures))
        made.append(kind.sample(patched, positive=region(recording, other, kind) + by_default(first), noise=pictures, latent=latent))
    torch.testing.assert_close(made[0], torch.cat(made[1:]), rtol=1e-3, atol=1e-3)


def test_a_mask_of_its_own_is_multiplied(kind):
    first, _, other = kind.prompts
    patched, recording = recorded(kind)
    half = torch.zeros(1, *SIZE)
    half[..., 6:] = 0.5
    masked = changed(other, mask=half, mask_strength=2.0)
    samples = kind.sample(patched, steps=2, positive=region(recording, masked, kind, strength=3.0) + first)
    mask = mask_of_step(recording, kind) * half * 2
    assert torch.equal(samples, kind.sample(steps=2, positive=changed(other, mask=mask, mask_strength=3.0, start_percent=0.25) + first))


def test_an_area_of_its_own_stays(kind):
    first, _, other = kind.prompts
    patched, recording = recorded(kind)
    area = changed(other, area=(4, 6, 2, 4))
    samples = kind.sample(patched, steps=2, cfg=3.0, positive=region(recording, area, kind) + first)
    mask = mask_of_step(recording, kind)
    by_hand = changed(area, mask=mask, start_percent=0.25)
    assert torch.equal(samples, kind.sample(steps=2, cfg=3.0, positive=by_hand + first))


def test_lora_hooks_act_there_alone(kind):
    first, _, _ = kind.prompts
    hooks = comfy.hooks.create_hook_lora(lora(kind.model), 1.0, 0.0)
    hooked = comfy.hooks.set_hooks_for_conditioning(first, hooks)
    patched, recording = recorded(kind)
    samples = kind.sample(patched, steps=2, positive=region(recording, hooked, kind) + by_default(first))
    mask = mask_of_step(recording, kind)
    assert torch.equal(samples, kind.sample(steps=2, positive=changed(hooked, mask=mask, start_percent=0.25) + by_default(first)))
    away = mask[:, None].expand_as(samples) == 0
    plain = kind.sample(steps=2)
    assert torch.equal(samples[away], plain[away]) and not torch.equal(samples, plain)


@pytest.mark.long
@pytest.mark.parametrize(
    "sampler", ["heun", "dpm_2", "dpmpp_2m", "dpmpp_2s_ancestral", "uni_pc", "lcm", "ddim", "dpm_fast", TAKES_MANY_STEPS]
)
def test_samplers(flux, sampler):
    """Each acts, and each is itself again where the region never acts."""
    first, _, other = flux.prompts
    patched, recording = recorded(flux)
    samples = {}
    for start in (0.0, 1.0):
        positive = region(recording, other, flux, from_percent=start) + by_default(first)
        samples[start] = flux.sample(patched, sampler=sampler, steps=4, positive=positive)
    assert torch.isfinite(samples[0.0]).all() and not torch.equal(samples[0.0], samples[1.0])
    assert torch.equal(samples[1.0], flux.sample(sampler=sampler, steps=4))


def skip_layer(model):
    return SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, "1", "0").args[0]


def cached(model):
    return EasyCacheNode.execute(model, 0.1, 0.2, 0.9, False).args[0]


def nag(model):
    return NAGuidance.execute(model, 3.0, 0.5, 2.0).args[0]


@pytest.mark.parametrize("other", [skip_layer, cached], ids=lambda other: other.__name__)
def test_beside_other_patches(kind, other):
    first, _, regional = kind.prompts
    patched, recording = recorded(kind, other(kind.model))
    never = region(recording, regional, kind, from_percent=1.0)
    options = dict(steps=8, cfg=3.0)
    samples = kind.sample(patched, positive=region(recording, regional, kind) + by_default(first), **options)
    plain = kind.sample(patched, positive=never + by_default(first), **options)
    assert torch.equal(plain, kind.sample(other(kind.model), **options))
    assert torch.isfinite(samples).all() and not torch.equal(samples, plain)


def test_nag(flux):
    """Which of these two families does something in Flux alone."""
    first, _, other = flux.prompts
    patched, recording = recorded(flux, nag(flux.model))
    samples = flux.sample(patched, steps=2, cfg=3.0, positive=region(recording, other, flux) + by_default(first))
    by_hand = changed(other, mask=mask_of_step(recording, flux), start_percent=0.25) + by_default(first)
    assert torch.equal(samples, flux.sample(nag(flux.model), steps=2, cfg=3.0, positive=by_hand))
    assert not torch.equal(samples, flux.sample(steps=2, cfg=3.0, positive=by_hand))


def test_controlnet(kind):
    first, _, other = kind.prompts
    vae = load_vae(comfy.latent_formats.Flux())
    control = control_net(kind).set_cond_hint(torch.rand(1, 3, 64, 96), 1.0, (0.0, 1.0), vae)
    base = changed(first, control=control, control_apply_to_uncond=True)
    patched, recording = recorded(kind)
    samples = kind.sample(patched, steps=2, positive=region(recording, other, kind) + by_default(base))
    by_hand = changed(other, mask=mask_of_step(recording, kind), start_percent=0.25)
    assert torch.equal(samples, kind.sample(steps=2, positive=by_hand + by_default(base)))


def test_two_apply_nodes(kind):
    """Each hears the base prompt alone, and each steers its own regions."""
    first, second, other = kind.prompts
    one, its = recorded(kind)
    both, others = recorded(kind, one)
    positive = region(its, other, kind) + region(others, second, kind) + first
    samples = kind.sample(both, steps=2, positive=positive)
    masks = mask_of_step(its, kind), mask_of_step(others, kind)
    by_hand = [changed(prompt, mask=mask, start_percent=0.25) for prompt, mask in zip((other, second), masks)]
    assert torch.equal(samples, kind.sample(steps=2, positive=by_hand[0] + by_hand[1] + first))
    assert len(its.runs[0].steps) == len(others.runs[0].steps) == 2


def test_a_second_sampler_goes_on_with_the_maps_of_the_first(kind):
    """KSamplerAdvanced in two parts is the same as in one, but for rounding."""
    first, _, other = kind.prompts

    def sample(parts, acting=True):
        patched, recording = recorded(kind)
        positive = region(recording, other, kind, from_percent=0.0 if acting else 1.0) + by_default(first)
        latent, noise = kind.latent(), None
        for start, end in parts:
            latent = kind.sample(patched, positive=positive, latent=latent, noise=noise, start_step=start, last_step=end)
            noise = torch.zeros_like(latent)
        return latent

    whole = sample([(0, 4)])
    torch.testing.assert_close(sample([(0, 2), (2, 4)]), whole, rtol=1e-3, atol=1e-3)
    assert (sample([(0, 4)], acting=False) - whole).abs().max() > 0.01


def test_a_cached_apply_node_steers_the_next_queue_as_a_new_one_would(kind):
    """Its recording has the runs of earlier queues, and this one's maps are its own from the first step on."""
    first, _, other = kind.prompts

    def sample(patched, recording, strength, seed):
        positive = region(recording, other, kind, strength=strength) + by_default(first)
        noise = torch.randn(kind.latent().shape, generator=torch.Generator().manual_seed(seed))
        return kind.sample(patched, steps=3, positive=positive, noise=noise)

    cached = recorded(kind)
    sample(*cached, 1.0, 1)
    for strength, seed in ((1.0, 2), (2.0, 2), (1.0, 1)):
        assert torch.equal(sample(*cached, strength, seed), sample(*recorded(kind), strength, seed))
    assert len(cached[1].runs) > 1


def told(caplog):
    return warnings(caplog, "nothing act")


def test_a_concept_that_is_not_there_changes_nothing_and_is_said_once(kind, caplog):
    """Scores that are flat: no concept is anywhere."""
    patched, recording = recorded(kind)
    recording.recipe = Recipe(temperature=1e9)
    with caplog.at_level(logging.INFO):
        samples = kind.sample(patched, batch=2, positive=region(recording, kind.prompts[2], kind, concept="a", grow=512) + kind.prompts[0])
    assert torch.equal(samples, kind.sample(batch=2))
    assert told(caplog) == ["Concept Attention: nothing acted on 'a' in picture 1, 2, since it was not found there."]


def test_before_anything_is_heard_nothing_acts(kind, caplog):
    patched, recording = kind.record(None, 0.9999, 1.0)
    with caplog.at_level(logging.INFO):
        samples = kind.sample(patched, positive=region(recording, kind.prompts[2], kind, grow=512) + kind.prompts[0])
    assert torch.equal(samples, kind.sample())
    concept = contrast(kind.name)[1]
    assert told(caplog) == [f"Concept Attention: nothing acted on {concept!r} in picture 1, since no step was recorded before."]


def test_maps_that_are_lost_change_nothing_and_are_said_once(kind, caplog, monkeypatch):
    monkeypatch.setattr(receiver, "MAX_NBYTES", 0)
    patched, recording = recorded(kind)
    with caplog.at_level(logging.INFO):
        samples = kind.sample(patched, positive=region(recording, kind.prompts[2], kind, grow=512) + kind.prompts[0])
    assert torch.equal(samples, kind.sample())
    concept = contrast(kind.name)[1]
    assert told(caplog) == [
        f"Concept Attention: nothing acts on {concept!r} from here on, since the scores of one sampling grew beyond 0 GB."
    ]


def test_a_sampler_that_does_not_get_the_recordings_model_is_refused(kind):
    _, recording = recorded(kind)
    positive = region(recording, kind.prompts[2], kind) + kind.prompts[0]
    with pytest.raises(ValueError, match="connect the model that came out of that Apply node to this sampler"):
        kind.sample(positive=positive)
    with pytest.raises(ValueError, match="connect the model that came out of that Apply node to this sampler"):
        kind.sample(recorded(kind)[0], positive=positive)


def test_regions_alone_are_refused(kind):
    patched, recording = recorded(kind)
    with pytest.raises(ValueError, match="consists of Concept Regions alone"):
        kind.sample(patched, positive=region(recording, kind.prompts[2], kind))
    with pytest.raises(ValueError, match="in a Concept Region already"):
        region(recording, region(recording, kind.prompts[2], kind), kind)
