"""Train what makes the frames between a latent's frames, on the exact latents of all frames of drawn clips: `demo_model/video_vae.py`."""

import argparse
import time
from pathlib import Path

import comfy_path  # noqa: F401

# isort: split
import torch
from clip_batches import latent_of
from clips import FRAMES, WORLDS, draw_clip
from concept_attention.demo_model.eight_bits import restored, stored
from concept_attention.demo_model.video_vae import BETWEEN_FILE, FramesBetween, kept_frames
from safetensors.torch import load_file, save_file

CROP = 12  # blocks of 8 x 8 pixels across


def main():
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    started = time.time()
    latents = torch.stack([latent_of(draw_clip(10**7 + seed, world=WORLDS[args.world]).frames) for seed in range(args.clips)])
    print(f"{args.clips} clips drawn in {time.time() - started:.0f} s", flush=True)
    network = FramesBetween()
    torch.nn.init.zeros_(network.end.weight)
    torch.nn.init.zeros_(network.end.bias)
    if args.resume:
        network.load_state_dict(restored(load_file(args.resume)))
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, total_steps=args.steps, pct_start=0.05)
    kept = kept_frames(FRAMES)
    between = [frame for frame in range(FRAMES) if frame not in kept]
    for step in range(args.steps):
        target = random_crops(latents, args.batch)
        given = target[:, :, kept]
        given[::2] += 0.05 * torch.randn_like(given[::2])  # as what a diffusion model leaves is
        with torch.autocast("cpu", torch.bfloat16):
            made = network(given)
        loss = (made.float() - target)[:, :, between].square().mean()
        if step == 0:
            print(f"linear: {loss.item():.4f}", flush=True)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == args.steps - 1:
            print(f"step {step}: loss {loss.item():.4f}, {time.time() - started:.0f} s", flush=True)
        if step % 250 == 249 or step == args.steps - 1:
            save_file(stored(network.state_dict()), args.out)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--world", choices=WORLDS, default="small")
    parser.add_argument("--resume", type=Path, help="weights to go on from")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=BETWEEN_FILE)
    return parser.parse_args()


def random_crops(latents, count):
    """[count, 16, F, CROP, CROP]"""
    crops = []
    for index in torch.randint(len(latents), (count,)).tolist():
        y, x = torch.randint(latents.shape[-1] - CROP + 1, (2,)).tolist()
        crops.append(latents[index, :, :, y : y + CROP, x : x + CROP])
    return torch.stack(crops)


if __name__ == "__main__":
    main()
