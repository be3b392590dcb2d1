"""The demo video VAE: what a latent holds of a clip, and what comes back."""

import pytest
import torch
from clip_batches import latent_of
from clips import FRAMES, SMALL, draw_clip
from concept_attention.demo_model.video_vae import kept_frames, load_video_vae
from scenes import HELD_OUT

import nodes

FACTOR = 0.476986  # of HunyuanVideo's latents


@pytest.fixture(scope="module")
def vae():
    return load_video_vae()


@pytest.fixture(scope="module")
def clips():
    return [draw_clip(HELD_OUT + 200 + number, world=SMALL) for number in range(3)]


def test_a_latent_holds_the_first_frame_and_the_third_of_every_four(vae, clips):
    assert kept_frames(FRAMES) == [0, 3, 7, 11]
    (latent,) = nodes.VAEEncode().encode(vae, torch.from_numpy(clips[0].frames))
    expected = latent_of(clips[0].frames[kept_frames(FRAMES)])
    torch.testing.assert_close(latent["samples"][0] * FACTOR, expected, rtol=1e-4, atol=1e-4)
    (of_more,) = nodes.VAEEncode().encode(vae, torch.from_numpy(clips[0].frames[:12]))  # the last three are no four
    assert torch.equal(of_more["samples"], latent["samples"][:, :, :3])


def test_clips_come_back(vae, clips):
    """Frames that are kept as well as pictures do; those between nearly so, and far better than a mean of their neighbours."""
    for clip in clips:
        frames = torch.from_numpy(clip.frames)
        with torch.inference_mode():
            back = vae.decode(vae.encode(frames))[0]
        assert back.shape == frames.shape
        errors = (back - frames).square().mean((1, 2, 3))
        kept = kept_frames(FRAMES)
        between = [frame for frame in range(FRAMES) if frame not in kept]
        assert errors[kept].max() < 10**-2.6 and errors[between].max() < 10**-2.4  # 26 and 24 dB


def test_frames_between_are_not_a_mean_of_their_neighbours(vae, clips):
    network = vae.first_stage_model.between
    truth = torch.stack([latent_of(clip.frames) for clip in clips])
    with torch.inference_mode():
        made = network(truth[:, :, kept_frames(FRAMES)])
        mean = torch.stack([torch.lerp(truth[:, :, 3], truth[:, :, 7], (frame - 3) / 4) for frame in (4, 5, 6)], 2)
    assert (made - truth)[:, :, 4:7].square().mean() < 0.3 * (mean - truth[:, :, 4:7]).square().mean()
