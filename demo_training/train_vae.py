"""Train the demo VAE's decoder to undo its cosine encoder on drawn scenes: of shapes, or with --things of things."""

import argparse
import time
from functools import partial
from pathlib import Path

import comfy_path  # noqa: F401

# isort: split
import numpy as np
import things
import torch
from comfy.taesd.taesd import Decoder
from concept_attention.demo_model.vae import DECODER_FILE, cosine_basis, latent_offset
from safetensors.torch import load_file, save_file
from scenes import draw_scene

CROP = 96


def main():
    args = parse_args()
    torch.manual_seed(0)
    draw = partial(things.draw_scene, on_grid=False) if args.things else draw_scene
    pictures = torch.from_numpy(np.stack([draw(seed).picture for seed in range(args.scenes)])).permute(0, 3, 1, 2)
    decoder = new_decoder().to(memory_format=torch.channels_last)
    if args.resume:
        decoder.load_state_dict({name: tensor.float() for name, tensor in load_file(args.resume).items()})
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=args.steps, pct_start=0.05)
    started = time.time()
    for step in range(args.steps):
        target = random_crops(pictures, args.batch)
        latent = torch.nn.functional.conv2d(target, cosine_basis(), stride=8) - latent_offset()[:, None, None]
        # Half of the batch is a little noisy, as what a diffusion model leaves is.
        latent[::2] += 0.05 * torch.randn_like(latent[::2])
        with torch.autocast("cpu", torch.bfloat16):
            picture = decoder(latent.contiguous(memory_format=torch.channels_last)).float()
        loss = (picture - target).abs().mean() + (picture - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == args.steps - 1:
            print(f"step {step}: loss {loss.item():.4f}, {time.time() - started:.0f} s", flush=True)
        if step % 500 == 499 or step == args.steps - 1:
            save_file({k: v.half().contiguous() for k, v in decoder.state_dict().items()}, args.out)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--scenes", type=int, default=800)
    parser.add_argument("--things", action="store_true")
    parser.add_argument("--resume", type=Path, help="weights to go on from")
    parser.add_argument("--out", type=Path, default=DECODER_FILE)
    return parser.parse_args()


def new_decoder():
    decoder = Decoder(latent_channels=16)
    for module in decoder.modules():
        if isinstance(module, torch.nn.Conv2d):  # ComfyUI's own layers leave weights as they were allocated
            torch.nn.Conv2d.reset_parameters(module)
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    for block in decoder:
        if hasattr(block, "conv"):
            block.conv[4].weight.data.mul_(0.2)  # residual branches start small
    return decoder


def random_crops(pictures, count):
    """`count` crops of CROP² pixels on the grid of 8 x 8 blocks, half of them mirrored."""
    crops = []
    for index in torch.randint(len(pictures), (count,)).tolist():
        y, x = (torch.randint((pictures.shape[-1] - CROP) // 8 + 1, (2,)) * 8).tolist()
        crop = pictures[index, :, y : y + CROP, x : x + CROP]
        crops.append(crop.flip(-1) if torch.rand(()) < 0.5 else crop)
    return torch.stack(crops)


if __name__ == "__main__":
    main()
