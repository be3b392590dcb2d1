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
from comfy.ldm.wan.model import WanModel
from kinds import KINDS, made, with_a_whole_prompt
from oracle import assert_agree
from probe import call_at
from restated import restated
from restated_cosmos import restated as restated_cosmos
from restated_single import one_block as one_shared_block
from restated_single import restated as restated_single
from restated_unet import restated as restated_unet
from restated_video import cogvideox_modulation, unturned
from restated_video import restated as restated_video

SIGMAS = [0.7, 0.2]
WITHIN = {"krea2": 1e-4}  # its norms compute in float32 even in a float64 network
VIDEO = ("cogvideox", "cogvideox-1.5", "hunyuan-video", "hunyuan-video-1.5", "wan")
RESTATED = {
    **dict.fromkeys(("sd15", "sd2", "sdxl"), restated_unet),
    **dict.fromkeys(("cosmos", "anima"), restated_cosmos),
    **dict.fromkeys(VIDEO, restated_video),
}
FAMILIES = [name for name in KINDS if name not in ("flux", "sd3", "chroma-radiance", "ltx")]
OLDER = "timestep_zero_index" not in inspect.signature(Flux.forward_orig).parameters  # and numbers LongCat's references otherwise
NOT_IN_OLDER = pytest.mark.skipif(OLDER, reason="this ComfyUI does something else here")
NOT_IN_OLDER_WAN = pytest.mark.skipif(
    "source_id" not in inspect.signature(WanModel.rope_encode).parameters, reason="this ComfyUI's Wan has no such latents"
)
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
    options = {**plain, **options}
    with torch.no_grad():
        call_at(patched, [[context, options]], [x, x], SIGMAS)
    of_network = {"guidance": torch.tensor([0.0 if kind.name == "chroma" else 3.5]), **plain}
    if "reference_latents" in options:
        of_network["ref_latents"] = [kind.model.model.process_latent_in(reference) for reference in options["reference_latents"]]
        of_network["ref_latents_method"] = options["reference_latents_method"]
    steps = {sigma: steps for sigma, steps in zip(SIGMAS, recording.runs[0].steps.values(), strict=True)}
    if kind.pooled:
        of_network["y"] = kind.model.model.encode_adm(device="cpu", height=8 * x.shape[-2], width=8 * x.shape[-1], **options)
    restate = RESTATED.get(kind.name, partial(restated, singles=singles) if kind.has_replacements else restated_single)
    assert_agree(
        steps, lambda sigma: restate(kind.name, kind.model, x, context, of_network, kind.concepts, sigma), WITHIN.get(kind.name, 1e-5)
    )


@pytest.mark.parametrize("size", [(6, 10), (7, 9)], ids=str)
@pytest.mark.parametrize("name", FAMILIES)
def test_scores_agree_with_a_restatement_in_float64(name, size):
    compare(with_a_whole_prompt(name), size)


@pytest.mark.parametrize("size", [(6, 10), (7, 9)], ids=str)
def test_single_blocks(size):
    compare(made("flux2"), size, singles=True)


@pytest.mark.parametrize(("name", "method"), WITH_REFERENCES)
def test_scores_beside_references(name, method):
    kind = with_a_whole_prompt(name)
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


def without_positions(ids, widths):
    return unturned(len(ids), sum(widths))


def unrefined(network, concepts, t):
    return network.txt_in.input_embedder(concepts.embeddings.double()[None])


def refined_together(network, concepts, t):
    return network.txt_in(concepts.embeddings.double()[None], t, None)


def of_the_clip(block, time):
    return [rows[1:].expand(2, -1) for rows in cogvideox_modulation(block, time)]


def of_queries_without_positions(*given, turned):
    return one_shared_block(*given)


@pytest.mark.parametrize(
    ("name", "part", "wrong", "space"),
    [
        ("cogvideox", "turned", without_positions, "output"),
        ("cogvideox", "cogvideox_modulation", of_the_clip, "output"),
        ("cogvideox", "one_block", of_queries_without_positions, "cross-attention"),
        ("cogvideox-1.5", "turned", without_positions, "output"),
        ("hunyuan-video-1.5", "refined_concepts", unrefined, "output"),
        ("hunyuan-video-1.5", "refined_concepts", refined_together, "output"),
        ("wan", "turned", without_positions, "cross-attention"),
    ],
)
def test_a_wrong_restatement_of_clips_does_not_agree(name, part, wrong, space, monkeypatch):
    monkeypatch.setattr(f"restated_video.{part}", wrong)
    with pytest.raises(AssertionError, match=rf"\(0\.7, '{space}', "):
        compare(made(name), (6, 10))


def drawn(kind, size, seed=3):
    return torch.randn(kind.latent(size).shape, generator=torch.Generator().manual_seed(seed))


def beside_a_picture(kind, size):
    return {"concat_latent_image": drawn(kind, size)}


def beside_a_picture_that_clip_sees(kind, size):
    seen = torch.randn(1, 257, 1280, generator=torch.Generator().manual_seed(4))
    return {"concat_latent_image": drawn(kind, size), "clip_vision_output": SimpleNamespace(penultimate_hidden_states=seen)}


def beside_a_picture_that_siglip_sees_and_letters(kind, size):
    generator = torch.Generator().manual_seed(4)
    seen, letters = torch.randn(1, 30, 1152, generator=generator), torch.randn(1, 7, 1472, generator=generator)
    options = {"clip_vision_output": SimpleNamespace(last_hidden_state=seen), "conditioning_byt5small": letters}
    return {"concat_latent_image": drawn(kind, size), **options}


def beside_a_reference(kind, size):
    return {"ref_latent": drawn(kind, size)[:, :, :1]}


def beside_a_reference_of_wan(kind, size):
    return {"reference_latents": [drawn(kind, size)[:, :, :1]]}


def beside_more_frames(kind, size):
    return {"time_dim_concat": drawn(kind, size)[:, :, :2]}


def beside_a_picture_and_a_clip(kind, size):
    return {"context_latents": [drawn(kind, (4, 6))[:, :, :1], drawn(kind, size, 4)]}


def beside_a_first_frame(kind, size):
    return {"guiding_frame_index": 0}


def beside_a_mask(kind, size):
    """Two of the prompt's six tokens are none."""
    return {"attention_mask": torch.tensor([[1, 1, 1, 1, 0, 0]])}


def beside_two_clips(kind, size):
    """VACE's, of frames and masks, at two strengths."""
    generator = torch.Generator().manual_seed(5)
    t, h, w = kind.latent(size).shape[2:]
    frames, masks = ([torch.randn(1, channels, t, h, w, generator=generator) for _ in range(2)] for channels in (32, 64))
    return {"vace_frames": frames, "vace_mask": masks, "vace_strength": [1.0, 0.5]}


@pytest.mark.parametrize(
    ("name", "load", "options", "size"),
    [
        ("cogvideox", lambda: tiny.cogvideox(channels=32), beside_a_picture, (7, 9)),
        ("hunyuan-video", None, beside_a_reference, (6, 10)),
        ("hunyuan-video", None, beside_a_first_frame, (6, 10)),
        ("hunyuan-video", None, beside_a_mask, (6, 10)),
        ("hunyuan-video-1.5", None, beside_a_picture_that_siglip_sees_and_letters, (7, 9)),
        ("wan", lambda: tiny.wan("i2v", channels=36), beside_a_picture_that_clip_sees, (7, 9)),
        ("wan", lambda: tiny.wan("vace"), beside_two_clips, (6, 10)),
        ("wan", lambda: tiny.wan(reference=16), beside_a_reference_of_wan, (6, 10)),
        ("wan", None, beside_more_frames, (7, 9)),
        pytest.param("wan", None, beside_a_picture_and_a_clip, (7, 9), marks=NOT_IN_OLDER_WAN),
    ],
)
def test_clips_beside_what_they_follow(name, load, options, size):
    """The network's inputs are those that ComfyUI gives it. Without what is beside the clip the scores are others."""
    kind, given = made(name), []
    model = load() if load else kind.model
    ((context, plain),) = kind.prompts[0]
    positive = [[context, {**plain, **options(kind, size)}]]
    expected = kind.sample(model, positive=positive, size=size, steps=2)
    patched, recording = kind.record(model, spaces="all")
    network = model.model.diffusion_model
    hook = network.register_forward_pre_hook(lambda _, of_call, named: given.append((of_call[0].clone(), named)), with_kwargs=True)
    samples = kind.sample(patched, positive=positive, size=size, steps=2)
    hook.remove()
    assert torch.equal(samples, expected)
    calls = dict(zip(recording.runs[0].steps, given, strict=True))

    def restate(sigma):
        x, named = calls[sigma]
        return restated_video(name, model, x, named["context"], named, kind.concepts, sigma)

    def alone(sigma):
        x, named = calls[sigma]
        clip = torch.cat((x[:, : kind.channels], 0 * x[:, kind.channels :]), 1)
        return restated_video(name, model, clip, named["context"], {"y": named.get("y")}, kind.concepts, sigma)

    assert_agree(recording.runs[0].steps, restate)
    with pytest.raises(AssertionError, match="'cross-attention|'output"):
        assert_agree(recording.runs[0].steps, alone)
