"""Scenes as training batches: latents, prompt embeddings, and concepts with the coverage each one ought to find."""

from dataclasses import dataclass

import torch
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.demo_model.vae import cosine_basis, latent_offset
from scenes import COLOURS, GROUNDS, SHAPES, draw_scene

SIZES = [(256, 256), (192, 320), (320, 192)]  # height, width
TOKEN = 16  # pixels across one image token
MAX_CONCEPTS = 7
MAX_CONCEPT_TOKENS = 16
NO_PROMPT = 0.1  # share of scenes trained without a prompt, for classifier-free guidance


@dataclass
class Batch:
    latent: torch.Tensor  # [B, 16, h, w]
    context: torch.Tensor  # [B, tokens, width]
    pooled: torch.Tensor  # [B, width]
    concept_embeddings: torch.Tensor | None = None  # [B, T, width], padded with zeros
    concept_token_there: torch.Tensor | None = None  # [B, T] bool
    token_weights: torch.Tensor | None = None  # [B, C, T]; a concept's row averages over its own tokens
    concept_there: torch.Tensor | None = None  # [B, C] bool
    coverage: torch.Tensor | None = None  # [B, C, N] in 0..1


class SceneSet:
    """Scenes of one size, kept as latents and token-sized coverage."""

    def __init__(self, scenes):
        self.scenes = [s for s, _, _ in scenes]
        self.latents = torch.stack([torch.from_numpy(latent) for _, latent, _ in scenes])
        self.coverage = [coverage for _, _, coverage in scenes]

    @classmethod
    def draw(cls, pool, seeds, size):
        return cls(list(pool.map(_draw, seeds, [size[0]] * len(seeds), [size[1]] * len(seeds), chunksize=32)))

    def __len__(self):
        return len(self.scenes)

    def batch(self, count, text_encoders, rng):
        rows = rng.integers(len(self), size=count)
        prompts = ["" if rng.random() < NO_PROMPT else self.scenes[row].caption for row in rows]
        context, pooled = zip(*map(text_encoders.prompt, prompts))
        concepts = [self._concepts(row, text_encoders, rng) for row in rows]
        return Batch(self.latents[rows], torch.cat(context), torch.cat(pooled), *map(torch.stack, zip(*concepts)))

    def _concepts(self, row, text_encoders, rng):
        scene, coverage = self.scenes[row], self.coverage[row]
        wanted = concept_list(scene, rng)
        embeddings = torch.zeros(MAX_CONCEPT_TOKENS, text_encoders.concept("sand").shape[1])
        token_weights = torch.zeros(MAX_CONCEPTS, MAX_CONCEPT_TOKENS)
        areas = torch.zeros(MAX_CONCEPTS, coverage.shape[1])
        used = 0
        for i, concept in enumerate(wanted):
            tokens = text_encoders.concept(concept)
            embeddings[used : used + len(tokens)] = tokens
            token_weights[i, used : used + len(tokens)] = 1 / len(tokens)
            areas[i] = torch.from_numpy(coverage[things_named(scene, concept)].sum(0))
            used += len(tokens)
        there = torch.arange(MAX_CONCEPT_TOKENS) < used
        return embeddings, there, token_weights, torch.arange(MAX_CONCEPTS) < len(wanted), areas


def things_named(scene, concept):
    """Rows of the scene's coverage that a concept names; none where it is absent."""
    names = [t.words for t in scene.things] + [(scene.ground,)]
    return [i for i, words in enumerate(names) if concept in words]


def concept_list(scene, rng):
    """Each thing by its shape or its full name, mostly the ground, and up to two concepts that are not there."""
    concepts = []
    for thing in scene.things:
        alone = sum(t.shape == thing.shape for t in scene.things) == 1
        shape_only = thing.shape in concepts or (rng.random() < 0.6 and (alone or len(concepts) == 0))
        if thing.shape not in concepts:
            concepts.append(thing.shape if shape_only else thing.name)
    if rng.random() < 0.9:
        concepts.append(scene.ground)
    shapes = [s for s in SHAPES if s not in {t.shape for t in scene.things}]
    for _ in range(rng.integers(3)):
        kind = rng.random()
        if kind < 0.5:
            other = str(rng.choice(shapes))
        elif kind < 0.75:
            other = f"{rng.choice(list(COLOURS))} {rng.choice(shapes)}"
        else:
            other = str(rng.choice([g for g in GROUNDS if g != scene.ground]))
        if other not in concepts:
            concepts.append(other)
    return [str(c) for c in rng.permutation(concepts)]


class TextEncoders:
    """A family's text encoders, each text encoded once."""

    def __init__(self, clip):
        self.clip = clip
        self.prompts, self.concepts = {}, {}

    def prompt(self, text):
        """(context [1, tokens, width], pooled [1, width])"""
        if text not in self.prompts:
            self.prompts[text] = self.clip.encode_from_tokens(self.clip.tokenize(text), return_pooled=True)
        return self.prompts[text]

    def concept(self, text):
        """[tokens, width]"""
        if text not in self.concepts:
            self.concepts[text] = encode_concepts(self.clip, text).embeddings
        return self.concepts[text]


def _draw(seed, height, width):
    torch.set_num_threads(1)
    scene = draw_scene(seed, height, width)
    latent, coverage = latent_of(scene), token_coverage(scene)
    scene.picture = scene.coverage = None
    return scene, latent.numpy(), coverage


def latent_of(scene):
    """[16, H / 8, W / 8]"""
    picture = torch.from_numpy(scene.picture).permute(2, 0, 1)[None]
    return torch.nn.functional.conv2d(picture, cosine_basis(), stride=8)[0] - latent_offset()[:, None, None]


def token_coverage(scene):
    """[things + 1, N]: the share of each image token that a thing covers."""
    things, height, width = scene.coverage.shape
    blocks = scene.coverage.reshape(things, height // TOKEN, TOKEN, width // TOKEN, TOKEN)
    return blocks.mean((2, 4)).reshape(things, -1)
