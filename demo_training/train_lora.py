"""Train a LoRA for the demo Flux that paints its things with white stripes: `python demo_training/train_lora.py`.

Flow matching on drawn scenes whose things are striped, with their plain captions. What is trained is a product of two thin matrices for
each matrix of the image's stream; the model's own weights stay. The file has the key names that most trainers use.
"""

import argparse
import time
from pathlib import Path

import comfy_path  # noqa: F401

# isort: split
import differentiable_flux
import numpy as np
import torch
from batches import NO_PROMPT, Batch, TextEncoders, latent_of
from concept_attention.demo_model.flux import STRIPES_FILE
from safetensors.torch import save_file
from scenes import draw_scene
from torch.nn.utils.parametrize import register_parametrization

STRIPE = 8  # pixels across: a latent pixel
ADAPTED = ("img_attn.qkv", "img_attn.proj", "img_mlp.0", "img_mlp.2", "linear1", "linear2", "final_layer.linear")


def main():
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    started = time.time()
    captions, latents = zip(*map(striped, range(10**7, 10**7 + args.scenes)))
    latents = torch.stack(latents)
    print(f"{args.scenes} scenes drawn in {time.time() - started:.0f} s", flush=True)
    model = differentiable_flux.new_model()
    model.load_state_dict(differentiable_flux.load(differentiable_flux.FILE))
    changes = adapted(model, args.rank)
    text_encoders = TextEncoders(differentiable_flux.load_clip())
    optimiser = torch.optim.AdamW([p for change in changes.values() for p in change.parameters()], lr=args.rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, total_steps=args.steps, pct_start=0.1)
    rng, running = np.random.default_rng(0), None
    for step in range(args.steps):
        rows = rng.integers(len(latents), size=args.batch)
        prompts = ["" if rng.random() < NO_PROMPT else captions[row] for row in rows]
        batch = Batch(latents[rows], *map(torch.cat, zip(*map(text_encoders.prompt, prompts))))
        noise = torch.randn_like(batch.latent)
        sigma = torch.sigmoid(0.4 + 1.5 * torch.randn(len(noise)))
        noisy = torch.lerp(batch.latent, noise, sigma[:, None, None, None])
        with torch.autocast("cpu", torch.bfloat16):
            velocity, _, _ = differentiable_flux.flow_and_scores(model, noisy, sigma, batch)
        loss = (velocity - (noise - batch.latent)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        running = loss.item() if running is None else running + 0.05 * (loss.item() - running)
        if step % 25 == 0 or step == args.steps - 1:
            print(f"step {step}: flow {running:.4f}, {time.time() - started:.0f} s", flush=True)
        if step % 100 == 99 or step == args.steps - 1:
            save(changes, args.out)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=STRIPES_FILE)
    return parser.parse_args()


def striped(seed):
    """(caption, latent [16, H / 8, W / 8]) of a scene whose things have white stripes."""
    scene = draw_scene(seed)
    white = (np.arange(scene.picture.shape[1]) // STRIPE % 2)[:, None] * (1 - scene.coverage[-1])[..., None]
    scene.picture = (scene.picture * (1 - white) + white).astype(np.float32)
    return scene.caption, latent_of(scene)


class LowRank(torch.nn.Module):
    """W + B A, of which only B and A are trained; B begins as 0."""

    def __init__(self, weight, rank):
        super().__init__()
        self.down = torch.nn.Parameter(torch.randn(rank, weight.shape[1]) / weight.shape[1] ** 0.5)
        self.up = torch.nn.Parameter(torch.zeros(weight.shape[0], rank))

    def forward(self, weight):
        return weight + self.up @ self.down


def adapted(model, rank):
    """By the name of each matrix that it changes, what is trained."""
    model.requires_grad_(False)
    changes = {}
    for name, module in list(model.named_modules()):
        if name.endswith(ADAPTED):
            changes[name] = LowRank(module.weight, rank)
            register_parametrization(module, "weight", changes[name])
    return changes


def save(changes, path):
    file = {}
    for name, change in changes.items():
        file[f"diffusion_model.{name}.lora_A.weight"] = change.down.detach().half().contiguous()
        file[f"diffusion_model.{name}.lora_B.weight"] = change.up.detach().half().contiguous()
    save_file(file, path)


if __name__ == "__main__":
    main()
