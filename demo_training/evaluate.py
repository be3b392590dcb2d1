"""How well a demo model's concept maps lie on drawn scenes: `python demo_training/evaluate.py flux --scenes 60`.

Each held-out scene is encoded, noised and shown to the model once per noise level; the maps are the mean over the
levels, upsampled to the picture, and each pixel goes to its strongest concept. With --painted the model paints the
scenes' captions instead, and what is where follows from the colours in its pictures. Prints mean IoU, pixel accuracy
and the share of concepts whose map peaks inside what it names, for each space and picture size. With --words the same of the words
of the caption that name them, as Prompt Words has them: shares of their sum, and raw.
"""

import argparse
from itertools import product

import comfy_path  # noqa: F401

# isort: split
import comfy.sample
import torch
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.families.encode_prompt_words import encode_prompt_words
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.maps.resize import upsample
from concept_attention.concept_core.record.sampler import record_concepts
from concept_attention.concept_core.recording.scores import SPACES
from concept_attention.demo_model import DEMO_FAMILIES
from probe import call_at
from scenes import HELD_OUT, coverage_by_colour, draw_scene

SIZES = {"square": (256, 256), "wide": (192, 320), "tall": (320, 192)}
SIGMAS = [0.5, 0.4, 0.3]
PAINTING_CFG = {"flux": 2.0, "sd3": 4.5, "hunyuan-video": 2.0}
FAMILIES = ["flux", "sd3"]  # of pictures


class Demo:
    """A demo model, and the maps that it has of a drawn scene."""

    def __init__(self, family):
        self.cfg, self.latent_format = PAINTING_CFG[family], DEMO_FAMILIES[family].latent_format
        self.model, self.clip, self.vae = DEMO_FAMILIES[family].load()

    @torch.no_grad()
    def record(self, scene, names, sigmas=SIGMAS, seed=0, words=False, **competing):
        """(recording, samples) of the scene's picture or frames, noised to each level. words: they are the caption's. competing: what
        encode_concepts takes for it."""
        text = ",".join(names)
        concepts = encode_prompt_words(self.clip, scene.caption, text) if words else encode_concepts(self.clip, text, **competing)
        patched, recording = record_concepts(self.model, concepts, spaces="all")
        latent = self.latent_format.process_in(self.vae.encode(torch.from_numpy(scene.pixels)))
        generator = torch.Generator().manual_seed(seed)
        noised = [torch.lerp(latent, torch.randn(latent.shape, generator=generator), sigma) for sigma in sigmas]
        positive = self.clip.encode_from_tokens_scheduled(self.clip.tokenize(scene.caption))
        _, samples = call_at(patched, positive, noised, [*sigmas, 0.0])
        return recording, samples

    @torch.no_grad()
    def paint(self, caption, names, size, seed, background="", frames=None, **options):
        """(recording, samples, picture [H, W, 3] or clip [F, H, W, 3]) of a prompt. options: as record_concepts has them."""
        patched, recording = record_concepts(self.model, encode_concepts(self.clip, ",".join(names), background), spaces="all", **options)
        latent = torch.zeros(1, 16, *([] if frames is None else [(frames - 1) // 4 + 1]), size[0] // 8, size[1] // 8)
        noise = comfy.sample.prepare_noise(latent, seed)
        prompts = [self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text)) for text in (caption, "")]
        samples = comfy.sample.sample(patched, noise, 20, self.cfg, "euler", "simple", *prompts, latent, disable_pbar=True, seed=seed)
        return recording, samples, self.vae.decode(samples)[0].clamp(0, 1)  # of a clip all of its frames


def concepts_of(scene):
    """The scene's shapes, or full names where two are alike, and its ground."""
    shapes = [t.shape for t in scene.things]
    return [t.shape if shapes.count(t.shape) == 1 else t.name for t in scene.things] + [scene.ground]


def at_picture_size(maps):
    """[C, H, W] of the first picture."""
    return upsample(maps.values, maps.pixels_per_token, maps.image_size, maps.image_size)[0]


def judge(shares, areas):
    """(mean IoU of the winner, pixel accuracy, share of concepts that peak inside) for [C, H, W] maps and true areas.

    A concept that is nowhere in the picture, because the model has not painted it, counts in the accuracy only.
    """
    winner, truth = shares.argmax(0), areas.argmax(0)
    present = truth.unique().tolist()
    hits = [((winner == c) & (truth == c)).sum() / ((winner == c) | (truth == c)).sum() for c in present]
    peaks = [areas[c].flatten()[shares[c].argmax()] > 0.5 for c in present]
    return torch.stack(hits).mean().item(), (winner == truth).float().mean().item(), torch.stack(peaks).float().mean().item()


def main():
    args = parse_args()
    demo = Demo(args.family)
    choices = [(space, "auto") for space in SPACES] + [("output", block) for block in args.blocks]
    print(f"{'size':8}{'space':18}{'blocks':8}{'mean IoU':>10}{'accuracy':>10}{'peaks inside':>14}")
    for size, (height, width) in ((size, SIZES[size]) for size in args.sizes):
        rows = {choice: [] for choice in choices}
        for seed in range(HELD_OUT, HELD_OUT + args.scenes):
            scene = draw_scene(seed, height, width)
            names = concepts_of(scene)
            areas = torch.stack([torch.from_numpy(scene.area(name)) for name in names])
            if args.painted:
                recording, samples, picture = demo.paint(scene.caption, names, (height, width), seed)
                areas = torch.from_numpy(coverage_by_colour(picture.numpy(), [t.colour for t in scene.things], scene.ground))
            else:
                recording, samples = demo.record(scene, names, args.sigmas)
            for space, blocks in choices:
                rows[space, blocks].append(judge(at_picture_size(decode(recording, samples, space, blocks=blocks)), areas))
            if args.words:
                heard = demo.record(scene, names, args.sigmas, words=True)
                for softmax, blocks in product((True, False), ("auto", "all")):
                    maps = decode(*heard, blocks=blocks, softmax=softmax)
                    rows.setdefault(("words" if softmax else "words, raw", blocks), []).append(judge(at_picture_size(maps), areas))
        for (space, blocks), figures in rows.items():
            iou, accuracy, peaks = torch.tensor(figures).mean(0).tolist()
            print(f"{size:8}{space:18}{blocks:8}{iou:10.3f}{accuracy:10.3f}{peaks:14.3f}", flush=True)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=FAMILIES)
    parser.add_argument("--scenes", type=int, default=60, help="of each size")
    parser.add_argument("--words", action="store_true", help="judge words of the caption too, on drawn scenes")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--painted", action="store_true", help="judge the model's own pictures")
    parser.add_argument("--sigmas", type=float, nargs="+", default=SIGMAS)
    parser.add_argument("--blocks", nargs="*", default=[], help="more choices of blocks to judge, such as 3 4 5 3-5")
    return parser.parse_args()


if __name__ == "__main__":
    main()
