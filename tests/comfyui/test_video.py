"""From a sampled clip to masks of its frames, with ComfyUI's own nodes."""

import copy

import pytest
import tiny
import torch
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from concept_attention.concept_core.draw.explorer import explorable
from concept_attention.concept_core.families.registry import family_of
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.masks.masks import masks
from concept_attention.concept_core.record.encode_image import encode_image
from concept_attention.concept_core.record.regions import with_region
from concept_attention.concept_core.recording.scores import CROSS_SHARE
from concept_attention.concept_core.steer.region import Region
from kinds import made

import nodes

FRAMES, SIZE = 9, (64, 96)  # of three latent frames of 8 x 12

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def vae():
    return tiny.wan_vae()


@pytest.mark.parametrize("name", ["cogvideox", "hunyuan-video", "wan"])
def test_masks_fit_the_decoded_frames(name, vae):
    kind = made(name)
    patched, recording = kind.record()
    samples = kind.sample(patched, cfg=2.0)
    assert torch.equal(samples, kind.sample(cfg=2.0))
    with torch.inference_mode():
        (frames,) = nodes.VAEDecode().decode(vae, {"samples": samples})
    assert frames.shape == (FRAMES, *SIZE, 3)
    maps = decode(recording, samples, steps="auto")
    assert maps.num_pictures == FRAMES and maps.image_size == SIZE
    found = masks(maps, "a, b", "winner", image=frames)
    assert found.shape == (2 * FRAMES, *SIZE)
    assert (masks(maps, "*", "winner", image=frames).unflatten(0, (3, FRAMES)).sum(0) == 1).all()
    assert explorable(maps)["shape"] == [FRAMES, 3, 4, 6]


def test_a_clip_that_is_shown_once(vae):
    kind = made("wan")
    with torch.inference_mode():
        (latent,) = nodes.VAEEncode().encode(vae, torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(0)))
    recording = encode_image(kind.model, kind.concepts, kind.prompts[0], latent["samples"], noise=0.4)
    assert decode(recording, latent["samples"]).num_pictures == FRAMES


def test_clips_of_a_batch_are_decoded_alone():
    kind = made("cogvideox")
    patched, recording = kind.record()
    samples = kind.sample(patched, batch=2, steps=2)
    with pytest.raises(ValueError, match="maps are made of one at a time: take one out with Latent From Batch"):
        decode(recording, samples)
    both = [decode(recording, nodes.LatentFromBatch().frombatch({"samples": samples}, place, 1)[0]["samples"]) for place in range(2)]
    assert both[0].num_pictures == FRAMES and not torch.equal(both[0].values, both[1].values)


@pytest.mark.parametrize("name", ["cogvideox", "hunyuan-video", "wan", "ltx"])
def test_context_windows_are_refused(name):
    kind = made(name)
    windowed = ContextWindowsManualNode.execute(kind.model, 2, 1, "standard_static", 1, False, "pyramid", 2, False).args[0]
    patched, _ = kind.record(windowed)
    with pytest.raises(ValueError, match="as context windows, tiled sampling"):
        kind.sample(patched, steps=1)


GIVEN = {
    "first frame": {"guiding_frame_index": 0},
    "reference": {"ref_latent": torch.randn(1, 16, 1, 8, 12, generator=torch.Generator().manual_seed(6))},
    "both": {},
}
GIVEN["both"] = GIVEN["first frame"] | GIVEN["reference"]


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_image_to_video_of_hunyuan(given):
    """The clip's tokens are the last ones of the joint sequence; a first frame that is given has a modulation of its own."""
    kind, attended, heard = made("hunyuan-video"), [], []

    def override(function, *args, **kwargs):
        out = function(*args, **kwargs)
        if kwargs.get("transformer_options", {}).get("block_type") == "double":
            attended.append(out)
        return out

    other = kind.model.clone()
    other.model_options["transformer_options"]["optimized_attention_override"] = override
    ((context, options),) = kind.prompts[0]
    positive = [[context, {**options, **given}]]
    patched, recording = kind.record(other, observe=lambda scores, concept_out, image_out: heard.append(image_out))
    samples = kind.sample(patched, positive=positive, steps=2)
    assert torch.equal(samples, kind.sample(positive=positive, steps=2))
    with_first = [out[:, -3 * 4 * 6 :] for out in attended if out.shape[1] > 3 * 4 * 6]
    assert len(heard) == 6 and all(torch.equal(*pair) for pair in zip(heard, with_first, strict=True))
    plain, without = kind.record()
    maps = decode(recording, samples).values
    assert torch.isfinite(maps).all() and (maps - decode(without, kind.sample(plain, steps=2)).values).abs().max() > 1e-3


def test_live_maps_of_clips_are_refused():
    kind = made("cogvideox")
    patched, recording = kind.record()
    region = with_region(kind.prompts[2], Region(recording, "a"))
    with pytest.raises(ValueError, match="The live maps steer pictures, and this latent is a clip"):
        kind.sample(patched, positive=[*kind.prompts[0], *region], steps=3)


def test_ltx_against_float64():
    """What each block's cross-attention asks with, heard at its norm, times keys that are made anew."""
    kind = made("ltx")
    blocks, asked = kind.model.model.diffusion_model.transformer_blocks, []
    hooks = [block.attn2.q_norm.register_forward_hook(lambda module, given, out: asked.append(out.double())) for block in blocks]
    patched, recording = kind.record(spaces="all")
    kind.sample(patched, steps=1, batch=2)
    for hook in hooks:
        hook.remove()
    (step,) = recording.runs[0].steps.values()
    network = copy.deepcopy(kind.model.model.diffusion_model).double()
    context = network.caption_projection(kind.concepts.embeddings.double()[None])
    for block, q, raw, shares in zip(network.transformer_blocks, asked, step["cross-attention"], step[CROSS_SHARE], strict=True):
        attention = block.attn2
        k = attention.k_norm(attention.to_k(context)).unflatten(2, (attention.heads, -1)).transpose(1, 2)
        q = q.unflatten(2, (attention.heads, -1)).transpose(1, 2)
        scores = kind.concepts.token_weights.double() @ k @ q.transpose(2, 3) / attention.dim_head**0.5
        torch.testing.assert_close(raw.double(), scores.mean(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(shares.double(), scores.softmax(2).mean(1), rtol=1e-4, atol=1e-5)
    assert recording.runs[0].grid == (3, 4, 6) and q.shape[2] == 72


@pytest.mark.parametrize("name", ["cogvideox", "hunyuan-video", "hunyuan-video-1.5", "wan", "ltx"])
def test_frames_of_a_latents_frame_are_those_of_its_format(name):
    """Which older ComfyUIs do not tell."""
    model = made(name).model
    assert family_of(model).frames_per_latent == model.get_model_object("latent_format").temporal_downscale_ratio
