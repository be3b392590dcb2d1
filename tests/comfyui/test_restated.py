"""Recorded scores of every family against a restatement in float64, written from the formulas by someone who had not seen this code.

Flux 1 and SD3 have restatements of their own: test_flux_stream.py and test_sd3_stream.py.
"""

import inspect
from functools import partial
from types import SimpleNamespace

import pytest
import tiny
import torch
from comfy.ldm.flux.model import Flux
from kinds import KINDS, made
from oracle import assert_agree
from probe import call_at
from restated import restated
from restated_cosmos import restated as restated_cosmos
from restated_single import restated as restated_single
from restated_unet import restated as restated_unet

SIGMAS = [0.7, 0.2]
WITHIN = {"krea2": 1e-4}  # its norms compute in float32 even in a float64 network
RESTATED = dict.fromkeys(("sd15", "sd2", "sdxl"), restated_unet) | dict.fromkeys(("cosmos", "anima"), restated_cosmos)
VIDEO = ("cogvideox", "cogvideox-1.5", "hunyuan-video", "hunyuan-video-1.5", "wan", "ltx")
FAMILIES = [name for name in KINDS if name not in ("flux", "sd3", "chroma-radiance", *VIDEO)]
OLDER = "timestep_zero_index" not in inspect.signature(Flux.forward_orig).parameters  # and numbers LongCat's references otherwise
NOT_IN_OLDER = pytest.mark.skipif(OLDER, reason="this ComfyUI does something else here")
WITH_REFERENCES = [
    ("flux2", "index"),
    pytest.param("flux2", "index_timestep_zero", marks=NOT_IN_OLDER),
    ("qwen-image", "index"),
    ("qwen-image", "index_timestep_zero"),
    ("ovis", "offset"),
    ("z-image", "none"),
    ("krea2", "index"),
    ("krea2", "index_timestep_zero"),
    pytest.param("longcat", "offset", marks=NOT_IN_OLDER),
]


def compare(kind, size, singles=False, **options):
    """The pack's scores at SIGMAS and the restatement's, for a latent of random numbers."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(kind.latent(size).shape, generator=generator)
    patched, recording = kind.record(spaces="all", single_blocks=singles)
    ((context, plain),) = kind.prompts[0]
    with torch.no_grad():
        call_at(patched, [[context, {**plain, **options}]], [x, x], SIGMAS)
    of_network = {"guidance": torch.tensor([0.0 if kind.name == "chroma" else 3.5])}
    if "reference_latents" in options:
        of_network["ref_latents"] = [kind.model.model.process_latent_in(reference) for reference in options["reference_latents"]]
        of_network["ref_latents_method"] = options["reference_latents_method"]
    steps = {sigma: steps for sigma, steps in zip(SIGMAS, recording.runs[0].steps.values(), strict=True)}
    if kind.name == "sdxl":
        of_network["y"] = kind.model.model.encode_adm(device="cpu", height=8 * x.shape[-2], width=8 * x.shape[-1], **plain)
    restate = RESTATED.get(kind.name, partial(restated, singles=singles) if kind.has_replacements else restated_single)
    assert_agree(
        steps, lambda sigma: restate(kind.name, kind.model, x, context, of_network, kind.concepts, sigma), WITHIN.get(kind.name, 1e-5)
    )


@pytest.mark.parametrize("size", [(6, 10), (7, 9)], ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_scores_agree_with_a_restatement_in_float64(name, size):
    compare(made(name), size)


@pytest.mark.parametrize("size", [(6, 10), (7, 9)], ids=str)
def test_single_blocks(size):
    compare(made("flux2"), size, singles=True)


@pytest.mark.parametrize(("name", "method"), WITH_REFERENCES)
def test_scores_beside_references(name, method):
    kind = made(name)
    references = [torch.randn(kind.latent(size).shape, generator=torch.Generator().manual_seed(size[0])) for size in [(4, 6), (8, 4)]]
    compare(kind, (6, 10), singles=name == "flux2", reference_latents=references, reference_latents_method=method)


def test_what_siglip_sees_of_references_of_z_image():
    """One of two references is seen, and one has a text."""
    model = tiny.z_image(siglip_feat_dim=48)
    kind = made("z-image")
    ((context, options),) = kind.prompts[0]
    generator = torch.Generator().manual_seed(4)
    seen = SimpleNamespace(image_sizes=[(3, 80, 112)], last_hidden_state=torch.randn(1, 35, 48, generator=generator))
    references = {
        "reference_latents": [torch.randn(kind.latent(size).shape, generator=generator) for size in [(4, 6), (8, 4)]],
        "reference_latents_text_embeds": [torch.randn(1, 40, 64, generator=generator)],
        "clip_vision_outputs": [seen],
    }
    patched, recording = kind.record(model)
    samples = kind.sample(patched, positive=[[context, {**options, **references}]], steps=2)
    assert len(recording.runs[0].steps) == 2 and torch.isfinite(samples).all()
