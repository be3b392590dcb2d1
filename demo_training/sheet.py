"""A contact sheet of what a demo Flux paints: each thing alone, and captions of held-out scenes.

python demo_training/sheet.py FOLDER/flux.safetensors sheet.png --size 192
"""

import argparse
from pathlib import Path

import comfy_path  # noqa: F401

# isort: split
import comfy.sample
import numpy as np
import torch
from comfy import latent_formats
from concept_attention.demo_model.flux import load_flux
from concept_attention.demo_model.text_encoders import load_flux_clip
from concept_attention.demo_model.vae import DECODER_FILE, load_vae
from PIL import Image, ImageDraw
from scenes import HELD_OUT, caption
from things import GROUNDS, THINGS, draw_scene
from train_things import HELD_OUT_SCENES, PROMPT_LENGTH

LABEL = 12


def main():
    args = parse_args()
    torch.set_num_threads(args.threads)
    painter = Painter(args.weights, args.decoder, args.cfg, args.steps)
    prompts = args.prompts or sheet_prompts(args.size)
    pictures = [(prompt, picture) for prompt in prompts for picture in painter.paint(prompt, args.size, range(args.seeds))]
    sheet(pictures, args.columns).save(args.out)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--decoder", type=Path, default=DECODER_FILE)
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--seeds", type=int, default=2, help="pictures of each prompt")
    parser.add_argument("--prompts", nargs="+", help="instead of each thing alone and sixteen held-out captions")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--cfg", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def sheet_prompts(size):
    alone = [caption([name], GROUNDS[i % len(GROUNDS)]) for i, name in enumerate(THINGS)]
    first = HELD_OUT + HELD_OUT_SCENES
    return alone + [draw_scene(seed, size, size).caption for seed in range(first, first + len(THINGS))]


class Painter:
    def __init__(self, weights, decoder, cfg, steps):
        self.model, self.clip = load_flux(weights), load_flux_clip(PROMPT_LENGTH)
        self.vae = load_vae(latent_formats.Flux(), decoder)
        self.cfg, self.steps = cfg, steps

    @torch.no_grad()
    def paint(self, prompt, size, seeds):
        """[seeds, H, W, 3] in 0..1"""
        latent = torch.zeros(1, 16, size // 8, size // 8)
        noise = torch.cat([comfy.sample.prepare_noise(latent, seed) for seed in seeds])
        latent = latent.expand_as(noise)
        prompts = [self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text)) for text in (prompt, "")]
        samples = comfy.sample.sample(self.model, noise, self.steps, self.cfg, "euler", "simple", *prompts, latent, disable_pbar=True)
        return self.vae.decode(samples).clamp(0, 1)


def sheet(pictures, columns):
    height, width = pictures[0][1].shape[:2]
    rows = -(-len(pictures) // columns)
    canvas = Image.new("RGB", (columns * width, rows * (height + LABEL)))
    for i, (prompt, picture) in enumerate(pictures):
        x, y = i % columns * width, i // columns * (height + LABEL)
        canvas.paste(Image.fromarray((picture.numpy() * 255).round().astype(np.uint8)), (x, y + LABEL))
        ImageDraw.Draw(canvas).text((x + 2, y), prompt[: width // 6], fill=(255, 255, 255))
    return canvas


if __name__ == "__main__":
    main()
