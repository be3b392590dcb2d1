"""Train a demo model on drawn scenes: flow matching, and a term that lays its concept maps on the things.

The term is the cross-entropy between the softmaxed output-space scores of the last blocks and the coverage that the
scene was drawn with. At this size the property does not emerge by itself as it does in the published models.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import comfy_path  # noqa: F401

# isort: split
import differentiable_flux
import differentiable_sd3
import numpy as np
import torch
from batches import SIZES, SceneSet, TextEncoders

FAMILIES = {"flux": differentiable_flux, "sd3": differentiable_sd3}


def main():
    args = parse_args()
    torch.manual_seed(args.seed)
    started = time.time()
    with ProcessPoolExecutor(2) as pool:
        sets = [SceneSet.draw(pool, range(i * 10**6, i * 10**6 + args.scenes // 2 ** min(i, 1)), size) for i, size in enumerate(SIZES)]
    print(f"{sum(map(len, sets))} scenes drawn in {time.time() - started:.0f} s", flush=True)
    family = FAMILIES[args.family]
    text_encoders = TextEncoders(family.load_clip())
    model = family.new_model()
    if args.resume:
        model.load_state_dict(family.load(args.resume))
    average = {name: p.detach().clone() for name, p in model.state_dict().items()}
    optimisers = new_optimisers(model, args.rate)
    rate = rate_schedule(args.steps)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimiser, rate) for optimiser in optimisers]
    running = None
    for step in range(args.steps):
        scenes = sets[int(np.random.default_rng((args.seed, step)).choice(3, p=[0.5, 0.25, 0.25]))]
        batch = scenes.batch(args.batch, text_encoders, np.random.default_rng((args.seed, step, 1)))
        noise = torch.randn_like(batch.latent)
        sigma = torch.sigmoid(0.4 + 1.5 * torch.randn(len(noise)))
        noisy = torch.lerp(batch.latent, noise, sigma[:, None, None, None])
        with torch.autocast("cpu", torch.bfloat16):
            velocity, scores, cross_scores = family.flow_and_scores(model, noisy, sigma, batch)
        flow_loss = (velocity - (noise - batch.latent)).square().mean()
        map_loss = map_cross_entropy(scores, batch)
        cross_loss = map_cross_entropy(cross_scores, batch)
        loss = flow_loss + args.map_weight * map_loss + args.cross_weight * cross_loss
        model.zero_grad()
        loss.backward()
        for stepper in (*optimisers, *schedules):
            stepper.step()
        follow(average, model, min(0.999, (step + 1) / (step + 20)))
        figures = torch.stack([flow_loss, map_loss, cross_loss]).detach()
        running = figures if running is None else torch.lerp(running, figures, 0.02)
        if step % 50 == 0 or step == args.steps - 1:
            flow, maps, cross = running.tolist()
            print(f"step {step}: flow {flow:.4f}, maps {maps:.4f}, cross-attention {cross:.4f}, {time.time() - started:.0f} s", flush=True)
        if step % 500 == 499 or step == args.steps - 1:
            family.save(average, args.out or family.FILE)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--scenes", type=int, default=8000, help="square ones; half as many wide and tall")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--map-weight", type=float, default=0.1)
    parser.add_argument("--cross-weight", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", type=Path, help="weights to go on from")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def new_optimisers(model, rate):
    """Muon for the matrices inside the network, Adam for its ends, norms and biases."""
    inside = [p for name, p in model.named_parameters() if p.ndim == 2 and "blocks" in name]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and "blocks" in name)]
    return [
        torch.optim.Muon(inside, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, weight_decay=0.01, betas=(0.9, 0.98)),
    ]


def rate_schedule(steps):
    """Up over 100 steps, level, and down to nothing over the last 40 %."""
    return lambda step: min(1, (step + 1) / 100, max(0.01, (steps - step) / (0.4 * steps)))


def map_cross_entropy(scores, batch):
    """Mean over blocks and image tokens of −Σ coverage · log softmax over concepts (scores: list of [B, C, N])."""
    absent = ~batch.concept_there[:, :, None]
    losses = []
    for block_scores in scores:
        log_share = block_scores.float().masked_fill(absent, -1e4).log_softmax(1)
        losses.append(-(batch.coverage * log_share).sum() / batch.coverage.sum())
    return torch.stack(losses).mean()


@torch.no_grad()
def follow(average, model, decay):
    for name, parameter in model.state_dict().items():
        average[name].lerp_(parameter, 1 - decay)


if __name__ == "__main__":
    main()
