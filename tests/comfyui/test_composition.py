"""Other nodes' patches on the same model: they act as before, and what is recorded is right.

Each test compares the sampled latent bit for bit with the one that the other patch gives without the pack. The names of
the tests are the rows of the table in docs/compatibility.md.
"""

from functools import partial

import comfy.hooks
import comfy.latent_formats
import comfy.ldm.lumina.controlnet
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.patcher_extension
import comfy.sd
import pytest
import tiny
import torch
from comfy.ldm.modules.attention import attention_split, attention_sub_quad
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras import nodes_model_patch
from comfy_extras.nodes_apg import APG
from comfy_extras.nodes_differential_diffusion import DifferentialDiffusion
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from comfy_extras.nodes_model_advanced import ModelSamplingFlux, ModelSamplingSD3, RescaleCFG
from comfy_extras.nodes_pag import PerturbedAttentionGuidance
from comfy_extras.nodes_sd3 import SkipLayerGuidanceSD3
from comfy_extras.nodes_slg import SkipLayerGuidanceDiT, SkipLayerGuidanceDiTSimple
from concept_attention.concept_core.maps.decode import decode
from kinds import by_turns, made
from patches import control_net, lora
from probe import call_at

CFG = 3.0
STEPS = 4


def sampled(kind, other, recorded=(STEPS,), before=True, **options):
    """(maps, run) of a sampling with another patch, given before the Apply node or after it.

    recorded: how many steps may be recorded.
    """
    options = {"cfg": CFG, "steps": STEPS, **options}
    if before:
        patched, recording = kind.record(other(kind.model))
    else:
        patched, recording = kind.record()
        patched = other(patched)
    samples = kind.sample(patched, **options)
    assert torch.equal(samples, kind.sample(other(kind.model), **options))
    (run,) = recording.runs
    assert len(run.steps) in recorded
    maps = decode(recording, samples).values
    assert torch.isfinite(maps).all()
    return maps, run


def first_step(run):
    return next(iter(run.steps.values()))["output"]


@pytest.fixture
def unpatched(kind):
    """The run of a plain sampling, whose first step every other sampling shares that leaves the model's own pass alone."""
    recording, samples = kind.heard(cfg=CFG, steps=STEPS)
    return recording.run_of(samples)[0]


both_orders = pytest.mark.parametrize("before", [True, False], ids=["before Apply", "after Apply"])


@both_orders
def test_lora(kind, unpatched, before):
    weights = lora(kind.model)
    _, run = sampled(kind, lambda model: comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0)[0], before=before)
    assert (first_step(run)[1] - first_step(unpatched)[1]).abs().max() > 0.01 * first_step(run)[1].abs().max()


def test_lora_hooks(kind, unpatched):
    """The positive prompt's LoRA shows in its scores; the negative's does not."""
    hooks = comfy.hooks.create_hook_lora(lora(kind.model), 1.0, 0.0)
    with_hooks = comfy.hooks.set_hooks_for_conditioning(kind.prompts[0], hooks)
    _, run = sampled(kind, lambda model: model, positive=with_hooks)
    expected = sampled(kind, lambda model: comfy.sd.load_lora_for_models(model, None, lora(kind.model), 1.0, 0)[0])[1]
    torch.testing.assert_close(first_step(run), first_step(expected), rtol=1e-3, atol=1e-3)
    assert (first_step(run)[1] - first_step(unpatched)[1]).abs().max() > 0.01 * first_step(run)[1].abs().max()


def test_controlnet(kind, unpatched, demo_vae):
    """It adds to the picture's tokens between blocks, in place; in the first block nothing has been added yet."""
    control = control_net(kind).set_cond_hint(torch.rand(1, 3, 64, 96), 1.0, (0.0, 1.0), demo_vae)
    positive = [[context, {**values, "control": control, "control_apply_to_uncond": True}] for context, values in kind.prompts[0]]
    _, run = sampled(kind, lambda model: model, positive=positive)
    torch.testing.assert_close(first_step(run)[0], first_step(unpatched)[0], rtol=1e-4, atol=1e-4)
    assert (first_step(run)[1] - first_step(unpatched)[1]).abs().max() > 0.01 * first_step(run)[1].abs().max()


def fun_control(model, vae):
    """Z-Image's, which is a patch after the blocks."""
    torch.manual_seed(0)
    network = comfy.ldm.lumina.controlnet.ZImage_Control(
        dim=256, n_heads=2, n_kv_heads=2, n_control_layers=30, operations=comfy.ops.manual_cast, dtype=torch.float32
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3 / max(1, parameter[0].numel()) ** 0.5)
    patch = comfy.model_patcher.ModelPatcher(network, comfy.model_management.get_torch_device(), torch.device("cpu"))
    return nodes_model_patch.ZImageFunControlnet().diffsynth_controlnet(model, patch, vae, torch.rand(1, 64, 96, 3))[0]


@both_orders
def test_fun_controlnet(demo_vae, before):
    """It adds to the picture's tokens after each block; in the first block nothing has been added yet."""
    kind = made("z-image")
    _, plain = sampled(kind, lambda model: model)
    _, run = sampled(kind, lambda model: fun_control(model, demo_vae), before=before)
    torch.testing.assert_close(first_step(run)[0], first_step(plain)[0], rtol=1e-4, atol=1e-4)
    assert (first_step(run)[1] - first_step(plain)[1]).abs().max() > 0.01 * first_step(run)[1].abs().max()


@pytest.fixture(scope="module")
def demo_vae():
    from concept_attention.demo_model.vae import load_vae

    return load_vae(comfy.latent_formats.Flux())


def test_a_tiled_vae_has_nothing_to_do_with_it(kind, demo_vae):
    patched, recording = kind.record()
    samples, plain = kind.sample(patched, size=(16, 16)), kind.sample(size=(16, 16))
    pictures = [demo_vae.decode_tiled(latent, tile_x=8, tile_y=8, overlap=2) for latent in (samples, plain)]
    assert torch.equal(*pictures) and decode(recording, samples).values.shape[0] == 1


def skip_layer(model):
    return SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, "1", "0").args[0]


def skip_layer_sd3(model):
    return SkipLayerGuidanceSD3().execute(model, "1", 3.0, 0.0, 1.0).args[0]


def skip_last_layer(model):
    return SkipLayerGuidanceDiT.execute(model, 3.0, 0.0, 1.0, "", "0").args[0]


def skip_negative_layer(model):
    return SkipLayerGuidanceDiTSimple.execute(model, 0.0, 1.0, "1", "").args[0]


def perturbed(model):
    return PerturbedAttentionGuidance().execute(model, 3.0).args[0]


def perturbed_in_joint_attention(model):
    """As PAG nodes for these models do it: another pass over the positive prompt with its attention put out."""
    model = model.clone()

    def put_out(function, *args, **kwargs):
        return 0 * function(*args, **kwargs)

    def post_cfg(args):
        transformer_options = {**args["model_options"]["transformer_options"], "optimized_attention_override": put_out}
        options = {**args["model_options"], "transformer_options": transformer_options}
        (weak,) = comfy.samplers.calc_cond_batch(args["model"], [args["cond"]], args["input"], args["sigma"], options)
        return args["denoised"] + args["cond_denoised"] - weak

    model.set_model_sampler_post_cfg_function(post_cfg)
    return model


HOBBLED = [skip_layer, skip_layer_sd3, skip_last_layer, skip_negative_layer, perturbed, perturbed_in_joint_attention]


@pytest.mark.parametrize(("other", "before"), by_turns(HOBBLED, [True, False]))
def test_guidance_by_a_hobbled_pass(kind, unpatched, other, before):
    """Only the model's own pass over the positive prompt counts: the first step is that of a plain sampling."""
    _, run = sampled(kind, other, before=before)
    torch.testing.assert_close(first_step(run), first_step(unpatched), rtol=1e-4, atol=1e-4)


@both_orders
def test_nag(kind, unpatched, before):
    """It changes the picture's rows after the joint attention, whose own output is what counts."""
    nag = pytest.importorskip("comfy_extras.nodes_nag")
    _, run = sampled(kind, lambda model: nag.NAGuidance.execute(model, 5.0, 0.5, 1.5).args[0], before=before)
    torch.testing.assert_close(first_step(run)[0], first_step(unpatched)[0], rtol=1e-4, atol=1e-4)


def adaptive(model):
    return APG.execute(model, 1.0, 5.0, 0.0).args[0]


def rescaled(model):
    return RescaleCFG().patch(model, 0.7)[0]


@pytest.mark.parametrize("other", [adaptive, rescaled], ids=lambda other: other.__name__)
def test_other_guidance(kind, unpatched, other):
    _, run = sampled(kind, other)
    torch.testing.assert_close(first_step(run), first_step(unpatched), rtol=1e-4, atol=1e-4)


def test_differential_diffusion(kind):
    mask = torch.linspace(0, 1, 12).expand(1, 1, 8, 12)
    sampled(kind, lambda model: DifferentialDiffusion.execute(model).args[0], noise_mask=mask, latent=torch.ones(1, 16, 8, 12))


@both_orders
def test_another_block_replacement(kind, unpatched, before):
    """It is called, around the block, whichever node comes first in the graph; a later one takes the block over."""
    calls = []

    def upside_down(args, extra):
        calls.append(1)
        out = extra["original_block"](args)
        return {**out, "img": out["img"].flip(1)}

    def other(model):
        model = model.clone()
        model.set_model_patch_replace(upside_down, "dit", "double_block", 0)
        return model

    _, run = sampled(kind, other, before=before)
    assert len(calls) in (2 * STEPS, 4 * STEPS)
    torch.testing.assert_close(first_step(run)[0], first_step(unpatched)[0], rtol=1e-4, atol=1e-4)
    assert (first_step(run)[1] - first_step(unpatched)[1]).abs().max() > 0.01 * first_step(run)[1].abs().max()


def test_a_block_that_is_left_out_ends_the_recording_of_its_call(kind):
    calls = []

    def skip_once(args, extra):
        calls.append(1)
        return {"img": args["img"], "txt": args["txt"]} if len(calls) == 2 else extra["original_block"](args)

    other = kind.model.clone()
    other.set_model_patch_replace(skip_once, "dit", "double_block", 1)
    patched, recording = kind.record(other)
    kind.sample(patched)
    assert len(recording.runs[0].steps) == 3


def test_a_network_that_another_wrapper_skips_is_said_so(kind):
    other = kind.model.clone()
    wrapper = comfy.patcher_extension.WrappersMP.APPLY_MODEL if kind.name == "sd3" else comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    patched, recording = kind.record(other)
    patched.add_wrapper_with_key(wrapper, "skips", lambda executor, x, *args, **kwargs: torch.zeros_like(x))
    with pytest.raises(ValueError, match="none was recorded, since the model's blocks were skipped or run otherwise"):
        decode(recording, kind.sample(patched))


@both_orders
def test_another_attention_override(kind, unpatched, before):
    calls = []

    def halved(function, q, k, v, *args, **kwargs):
        calls.append((args, sorted(kwargs)))
        return 0.5 * function(q, k, v, *args, **kwargs)

    def other(model):
        model = model.clone()
        model.model_options["transformer_options"]["optimized_attention_override"] = halved
        return model

    _, run = sampled(kind, other, before=before)
    with_pack, without = calls[: len(calls) // 2], calls[len(calls) // 2 :]
    assert with_pack == without  # called in the same way, too
    torch.testing.assert_close(first_step(run)[0] * 2, first_step(unpatched)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", [attention_split, attention_sub_quad], ids=lambda f: f.__name__)
def test_attention_backends(kind, unpatched, backend):
    """As attention-switch nodes choose them; the command-line flags are tested in test_backends.py."""

    def other(model):
        model = model.clone()
        model.model_options["transformer_options"]["optimized_attention_override"] = lambda function, *a, **m: backend(*a, **m)
        return model

    _, run = sampled(kind, other)
    torch.testing.assert_close(first_step(run), first_step(unpatched), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("cache", [EasyCacheNode, LazyCacheNode])
@both_orders
def test_caches_that_skip_steps(kind, cache, before):
    """The steps that a cache skips are not recorded, the others are right."""
    on_sd3 = kind.name == "sd3" and cache is EasyCacheNode  # it acts on models that call DIFFUSION_MODEL wrappers
    recorded = [8] if on_sd3 else range(2, 8)
    sampled(kind, lambda model: cache.execute(model, 3.0, 0.2, 0.9, False).args[0], recorded, before, steps=8)


def test_model_sampling_shift(kind):
    other = {
        "flux": lambda model: ModelSamplingFlux().patch(model, 1.15, 0.5, 512, 512)[0],
        "sd3": lambda model: ModelSamplingSD3().patch(model, 6.0)[0],
    }[kind.name]
    _, run = sampled(kind, other)
    assert list(run.steps) != list(sampled(kind, lambda model: model)[1].steps)


@pytest.mark.long
def test_torch_compile(kind, unpatched):
    """With a backend that fuses nothing, bit for bit what it is uncompiled; docs/compatibility.md says what inductor does.

    In both orders at once: what is compiled for one serves the other."""
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    plain = kind.sample(cfg=CFG, steps=STEPS)
    for before in (True, False):
        compiled = kind.model.clone()
        if before:
            set_torch_compile_wrapper(compiled, backend="eager")
        patched, recording = kind.record(compiled)
        if not before:
            set_torch_compile_wrapper(patched, backend="eager")
        assert torch.equal(kind.sample(patched, cfg=CFG, steps=STEPS), plain)
        (run,) = recording.runs
        assert len(run.steps) == STEPS
        torch.testing.assert_close(first_step(run), first_step(unpatched), rtol=1e-4, atol=1e-4)
    assert counters["frames"]["ok"] > 20


LOADED = {"flux": tiny.flux, "sd3": partial(tiny.sd3, second_attention=(0,)), "z-image": tiny.z_image, "krea2": tiny.krea2}


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("name", LOADED)
def test_fp8_weights(name, dtype):
    """Scores are those of the same rounded weights in full precision."""
    kind, load = made(name), LOADED[name]
    stored, rounded = load(dtype=dtype), load()
    assert dtype in {parameter.dtype for parameter in stored.model.diffusion_model.parameters()}
    with torch.no_grad():
        for name, parameter in rounded.model.diffusion_model.named_parameters():
            parameter.copy_(stored.model.diffusion_model.get_parameter(name).float())
    scores = []
    for model in (stored, rounded):
        patched, recording = kind.record(model)
        with torch.no_grad():
            call_at(patched, kind.prompts[0], [torch.ones_like(kind.latent())], [0.5])
        scores.append(first_step(recording.runs[0]))
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-3, atol=1e-3 * scores[1].abs().max().item())


@pytest.mark.parametrize("name", LOADED)
def test_partial_loading(name, monkeypatch):
    """As under --lowvram: weights stay in RAM and come, with their LoRA, when a module runs."""
    kind = made(name)
    loaded_model = comfy.model_management.LoadedModel
    load = loaded_model.model_load
    monkeypatch.setattr(loaded_model, "model_load", lambda self, memory=0, force_patch_weights=False: load(self, 1, force_patch_weights))
    comfy.model_management.unload_all_models()
    weights = lora(kind.model)
    other = lambda model: comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0)[0]  # noqa: E731
    _, run = sampled(kind, other)
    on_demand = [module for module in kind.model.model.diffusion_model.modules() if getattr(module, "comfy_cast_weights", False)]
    assert on_demand
    monkeypatch.undo()
    comfy.model_management.unload_all_models()
    torch.testing.assert_close(first_step(run), first_step(sampled(kind, other)[1]), rtol=1e-4, atol=1e-4)
