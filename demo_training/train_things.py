"""Train a demo Flux on drawn scenes of things, without the map term: open-ended, and stopped and gone on with at any time.

    nice -n 19 python demo_training/train_things.py FOLDER --stages 128:32:0 192:16:9000

The folder holds the drawn scenes as latents and prompt embeddings, `checkpoint.pt` with all that is needed to go on exactly
(weights, their running mean, the optimisers' state, the step) and `flux.safetensors` with the running mean. The same command
goes on from there; SIGTERM ends it with a checkpoint. A new folder may begin with the weights of `unfinished/flux_things.safetensors`,
the running mean after 9000 steps at 128² and 14,228 at 192²: `--weights`. The rate is level until `--decay-from` is given, with
`--steps` for the step at which it reaches zero.
"""

import argparse
import math
import os
import signal
import time
from pathlib import Path

import comfy_path  # noqa: F401

# isort: split
import differentiable_flux
import torch
from batches import Batch, latent_of, token_coverage
from scenes import HELD_OUT
from things import draw_scene
from train import follow, new_optimisers

PROMPT_LENGTH = 20
NO_PROMPT = 0.12
WARM_UP = 100
HELD_OUT_SCENES = 128
EVERY = 500  # steps between checkpoints


def main():
    args = parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    training = Training(differentiable_flux.new_model(), args)
    training.load()
    signal.signal(signal.SIGTERM, lambda *_: training.stop())
    print(f"from step {training.step} with {vars(args)}", flush=True)
    scenes = None
    while training.step < training.last_step:
        size, batch, begun = stage_at(args.stages, training.step)
        if scenes is None or scenes.size != size:
            scenes, held_out = (SceneSet.get(args.folder, seeds, size, not args.anywhere) for seeds in seed_ranges(args.scenes))
        training.take_step(scenes, batch, begun)
        if training.step % 50 == 0:
            training.say(batch)
        if training.step % EVERY == 0 or training.step == training.last_step:
            training.save()
            training.judge(held_out)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stages", type=stage, nargs="+", default=[(192, 16, 0)], help="SIZE:BATCH:FIRST_STEP")
    parser.add_argument("--scenes", type=int, default=20000)
    parser.add_argument("--anywhere", action="store_true", help="things are not on the grid of image tokens")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--thing-weight", type=float, default=3.0, help="of the loss over things, beside 1 over the ground")
    parser.add_argument("--decay-from", type=float, default=math.inf, help="step")
    parser.add_argument("--steps", type=float, default=math.inf)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", type=Path, help="to begin with, where the folder holds no checkpoint yet")
    return parser.parse_args()


def stage(text):
    size, batch, first_step = map(int, text.split(":"))
    return size, batch, first_step


def stage_at(stages, step):
    return [entry for entry in stages if entry[2] <= step][-1]


def rate_at(step, decay_from, steps):
    """Up over WARM_UP steps, level, and from `decay_from` on down to nothing at `steps`."""
    down = 1 if step < decay_from else (steps - step) / (steps - decay_from)
    return min(1, (step + 1) / WARM_UP, down)


def seed_ranges(scenes):
    return range(scenes), range(HELD_OUT, HELD_OUT + HELD_OUT_SCENES)


class Training:
    """All that changes from step to step; what happens in a step follows from the seed and the step."""

    def __init__(self, model, args):
        self.model, self.args, self.step, self.last_step = model, args, 0, args.steps
        self.average = {name: p.detach().clone() for name, p in model.state_dict().items()}
        self.optimisers = new_optimisers(model, args.rate)
        self.losses = None
        self.said = (0, time.process_time())

    @property
    def file(self):
        return self.args.folder / "checkpoint.pt"

    def load(self):
        if not self.file.exists():
            self.begin()
            return
        kept = torch.load(self.file)
        self.step, self.average = kept["step"], kept["average"]
        self.model.load_state_dict(kept["weights"])
        for optimiser, state in zip(self.optimisers, kept["optimisers"]):
            optimiser.load_state_dict(state)
        self.said = (self.step, time.process_time())

    def begin(self):
        if self.args.weights:
            self.model.load_state_dict(differentiable_flux.load(self.args.weights))
            self.average = {name: p.detach().clone() for name, p in self.model.state_dict().items()}

    def stop(self):
        self.last_step = self.step + 1

    def save(self):
        states = [optimiser.state_dict() for optimiser in self.optimisers]
        kept = {"step": self.step, "weights": self.model.state_dict(), "average": self.average, "optimisers": states}
        replace(self.file, lambda path: torch.save(kept, path))
        replace(self.args.folder / "flux.safetensors", lambda path: differentiable_flux.save(self.average, path))

    def take_step(self, scenes, count, begun):
        """`begun`: the step at which pictures of this size began; the running mean begins anew there."""
        generator = torch.Generator().manual_seed(self.args.seed * 10**9 + self.step)
        batch = scenes.batch(torch.randint(len(scenes), (count,), generator=generator), generator)
        # A larger picture shows through more noise.
        sigma = torch.sigmoid(0.7 + math.log(scenes.size / 128) + 1.5 * torch.randn(count, generator=generator))
        noise = torch.randn(batch.latent.shape, generator=generator)
        errors = errors_of(self.model, batch, noise, sigma)
        weights = 1 + (self.args.thing_weight - 1) * batch.share
        loss = (weights * errors).sum() / weights.sum()
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()
        rate = self.args.rate * rate_at(self.step, self.args.decay_from, self.args.steps)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        self.step += 1
        at_this_size = self.step - begun
        follow(self.average, self.model, min(0.9995, at_this_size / (at_this_size + 20)))
        losses = split(errors.detach(), batch.share)
        self.losses = losses if self.losses is None else torch.lerp(self.losses, losses, 0.02)

    def say(self, batch):
        step, seconds = self.said
        self.said = (self.step, time.process_time())
        speed = (self.step - step) / (self.said[1] - seconds)
        things, ground = self.losses.tolist()
        figures = f"things {things:.4f}, ground {ground:.4f}, {speed:.2f} steps and {speed * batch:.0f} pictures a processor second"
        print(f"{time.strftime('%H:%M:%S')} step {self.step}: {figures}", flush=True)

    @torch.no_grad()
    def judge(self, held_out):
        """The running mean's loss over scenes, noise and noise levels that are always the same."""
        current = {name: p.clone() for name, p in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        generator = torch.Generator().manual_seed(0)
        losses = []
        for rows in torch.arange(len(held_out)).split(32):
            batch = held_out.batch(rows, generator, no_prompt=0)
            sigma = torch.linspace(0.05, 0.95, len(rows))
            losses.append(split(errors_of(self.model, batch, torch.randn(batch.latent.shape, generator=generator), sigma), batch.share))
        self.model.load_state_dict(current)
        things, ground = torch.stack(losses).mean(0).tolist()
        print(f"step {self.step}, {held_out.size}²: held-out things {things:.4f}, ground {ground:.4f}", flush=True)


def errors_of(model, batch, noise, sigma):
    """[B, H / 16, W / 16]: squared error of the velocity at each image token."""
    noisy = torch.lerp(batch.latent, noise, sigma[:, None, None, None])
    with torch.autocast("cpu", torch.bfloat16):
        velocity, _, _ = differentiable_flux.flow_and_scores(model, noisy, sigma, batch)
    errors = (velocity - (noise - batch.latent)).square().mean(1, keepdim=True)
    return torch.nn.functional.avg_pool2d(errors, 2)[:, 0]


def split(errors, share):
    """(mean over things, mean over the ground)"""
    return torch.stack([(errors * part).sum() / part.sum() for part in (share, 1 - share)])


def replace(path, write):
    unfinished = path.with_suffix(".unfinished")
    write(unfinished)
    os.replace(unfinished, path)


class SceneSet:
    """Scenes of one size as latents [n, 16, h, w], things' share of each token [n, h / 2, w / 2] and prompt embeddings."""

    def __init__(self, size, kept):
        self.size = size
        self.latents, self.shares, self.prompt_of = kept["latents"], kept["shares"], kept["prompt_of"]
        self.contexts, self.pooled = kept["contexts"], kept["pooled"]  # the first is the empty prompt's

    @classmethod
    def get(cls, folder, seeds, size, on_grid):
        file = folder / f"scenes-{size}-{'grid' if on_grid else 'anywhere'}-{seeds.start}-{seeds.stop}.pt"
        if not file.exists():
            kept = draw(seeds, size, on_grid)
            replace(file, lambda path: torch.save(kept, path))
        return cls(size, torch.load(file))

    def __len__(self):
        return len(self.latents)

    def batch(self, rows, generator, no_prompt=NO_PROMPT):
        prompts = self.prompt_of[rows] * (torch.rand(len(rows), generator=generator) >= no_prompt)
        batch = Batch(self.latents[rows].float(), self.contexts[prompts].float(), self.pooled[prompts].float())
        batch.share = self.shares[rows].float()
        return batch


def draw(seeds, size, on_grid):
    started = time.time()
    latents, shares, captions = [], [], [""]
    for seed in seeds:
        scene = draw_scene(seed, size, size, on_grid)
        latents.append(latent_of(scene).half())
        shares.append(torch.from_numpy(1 - token_coverage(scene)[-1]).reshape(size // 16, -1).half())
        captions.append(scene.caption)
    print(f"{len(seeds)} scenes drawn in {time.time() - started:.0f} s", flush=True)
    prompts = list(dict.fromkeys(captions))
    numbers = {prompt: i for i, prompt in enumerate(prompts)}
    clip = differentiable_flux.load_clip(PROMPT_LENGTH)
    contexts, pooled = zip(*(clip.encode_from_tokens(clip.tokenize(prompt), return_pooled=True) for prompt in prompts))
    print(f"{len(prompts)} prompts encoded after {time.time() - started:.0f} s", flush=True)
    return {
        "latents": torch.stack(latents),
        "shares": torch.stack(shares),
        "prompt_of": torch.tensor([numbers[caption] for caption in captions[1:]]),
        "contexts": torch.cat(contexts).half(),
        "pooled": torch.cat(pooled).half(),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
