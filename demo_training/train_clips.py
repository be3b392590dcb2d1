"""Train the demo HunyuanVideo on drawn clips: flow matching, and a term that lays its concept maps on the things, as train.py has both.

    nice -n 3 python demo_training/train_clips.py FOLDER --steps 3000

It begins with the weights of the demo Flux. The folder holds the drawn clips, and `checkpoint.pt` with all that is needed to go on exactly;
the same command goes on from there, and SIGTERM ends it with a checkpoint. The rate falls to nothing over the last 40 % of the steps.
At the end `hunyuan.safetensors` in the folder has the running mean of the weights.
"""

import argparse
import signal
import time
from pathlib import Path

import comfy_path  # noqa: F401

# isort: split
import differentiable_flux
import differentiable_hunyuan as family
import numpy as np
import torch
from clip_batches import ClipSet, ClipTextEncoders
from clips import WORLDS
from train import follow, map_cross_entropy, new_optimisers, rate_schedule

EVERY = 100  # steps between checkpoints


def main():
    args = parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    text_encoders = ClipTextEncoders(family.load_clip())
    training = Training(args, text_encoders)
    signal.signal(signal.SIGTERM, lambda *_: training.stop())
    clips = drawn_clips(args.folder / f"clips-{args.clips}.pt", args.clips, WORLDS[args.world])
    while training.step < training.last_step:
        training.take_step(clips)
        if training.step % EVERY == 0 or training.step == training.last_step:
            training.save()
    family.save(training.average, args.folder / "hunyuan.safetensors")


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--clips", type=int, default=6000)
    parser.add_argument("--world", choices=WORLDS, default="small")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--map-weight", type=float, default=0.05)
    parser.add_argument("--cross-weight", type=float, default=0.01)
    parser.add_argument("--noise", type=float, default=0.6, help="logit of the noise level that lies in the middle")
    parser.add_argument("--two", type=float, default=1.0, help="how often a clip of two things is taken for each time that one of one is")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def drawn_clips(file, count, world):
    if not file.exists():
        started = time.time()
        torch.save(ClipSet.draw(range(count), world), file)
        print(f"{count} clips drawn in {time.time() - started:.0f} s", flush=True)
    return torch.load(file, weights_only=False)


class Training:
    def __init__(self, args, text_encoders):
        self.args, self.text_encoders = args, text_encoders
        self.model, self.step, self.last_step = family.new_model(), 0, args.steps
        self.optimisers = new_optimisers(self.model, args.rate)
        self.file = args.folder / "checkpoint.pt"
        self.running = None
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            self.model.load_state_dict(state["weights"])
            self.average, self.step = state["average"], state["step"]
            for optimiser, its_state in zip(self.optimisers, state["optimisers"]):
                optimiser.load_state_dict(its_state)
        else:
            new = family.begin_as_flux(self.model, differentiable_flux.load(differentiable_flux.FILE), text_encoders)
            print(f"not from Flux: {', '.join(new)}", flush=True)
            self.average = {name: p.detach().clone() for name, p in self.model.state_dict().items()}
        self.rate, self.first_step, self.started = rate_schedule(args.steps), self.step, time.time()

    def take_step(self, clips):
        args = self.args
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = args.rate * self.rate(self.step)
        batch = clips.batch(args.batch, self.text_encoders, np.random.default_rng((args.seed, self.step)), args.two)
        torch.manual_seed(args.seed * 10**6 + self.step)
        noise = torch.randn_like(batch.latent)
        sigma = torch.sigmoid(args.noise + 1.4 * torch.randn(len(noise)))
        noisy = torch.lerp(batch.latent, noise, sigma[:, None, None, None, None])
        with torch.autocast("cpu", torch.bfloat16):
            velocity, scores, cross_scores = family.flow_and_scores(self.model, noisy, sigma, batch)
        flow_loss = (velocity - (noise - batch.latent)).square().mean()
        batch.concept_there = batch.concepts_there.any(2)
        map_loss, cross_loss = map_cross_entropy(scores, batch), map_cross_entropy(cross_scores, batch)
        self.model.zero_grad()
        (flow_loss + args.map_weight * map_loss + args.cross_weight * cross_loss).backward()
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        follow(self.average, self.model, min(0.998, self.step / (self.step + 20)))
        figures = torch.stack([flow_loss, map_loss, cross_loss]).detach()
        self.running = figures if self.running is None else torch.lerp(self.running, figures, 0.03)
        if self.step % 50 == 0 or self.step == self.first_step + 1:
            flow, maps, cross = self.running.tolist()
            per_step = (time.time() - self.started) / (self.step - self.first_step)
            print(f"step {self.step}: flow {flow:.4f}, maps {maps:.4f}, cross-attention {cross:.4f}, {per_step:.2f} s per step", flush=True)

    def stop(self):
        self.last_step = self.step + 1  # the step that goes on

    def save(self):
        state = {"weights": self.model.state_dict(), "average": self.average, "step": self.step}
        torch.save({**state, "optimisers": [optimiser.state_dict() for optimiser in self.optimisers]}, self.file.with_suffix(".new"))
        self.file.with_suffix(".new").replace(self.file)


if __name__ == "__main__":
    main()
