"""Clips as training batches: latents, prompt embeddings, and concepts with the coverage each one ought to find.

A clip's latent holds its first frame and the third of every four that follow, as `demo_model/video_vae.py` has it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from batches import NO_PROMPT, TOKEN, concept_list, things_named
from clips import FRAMES, WHOLE, draw_clip
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.demo_model.vae import cosine_basis, latent_offset
from concept_attention.demo_model.video_vae import kept_frames
from torch.nn.utils.rnn import pad_sequence

LATENT_FRAMES = kept_frames(FRAMES)  # of the clip


@dataclass
class ClipBatch:
    """*_there: bool, false for what only pads the batch. C concepts of at most T tokens, N tokens of the clip, at most L of the prompt."""

    latent: torch.Tensor  # [B, 16, t, h, w]
    context: torch.Tensor  # [B, L, width]
    context_there: torch.Tensor  # [B, L]
    pooled: torch.Tensor  # [B, width]
    concepts: torch.Tensor | None = None  # [B, C, T, width]: each concept's text as it is read alone
    concepts_there: torch.Tensor | None = None  # [B, C, T]
    starts: torch.Tensor | None = None  # [B, C]: which token stands for the concept
    coverage: torch.Tensor | None = None  # [B, C, N] in 0..1


class ClipSet:
    """Clips kept as latents and token-sized coverage."""

    def __init__(self, clips):
        self.clips = [clip for clip, _, _ in clips]
        self.latents = torch.stack([latent for _, latent, _ in clips])
        self.coverage = [coverage for _, _, coverage in clips]

    @classmethod
    def draw(cls, seeds, world=WHOLE):
        return cls([drawn(seed, world) for seed in seeds])

    def batch(self, count, text_encoders, rng, two=1.0):
        """two: how often a clip of two things is taken for each time that one of one thing is."""
        often = np.array([1.0 if len(clip.things) == 1 else two for clip in self.clips])
        rows = rng.choice(len(self.clips), count, p=often / often.sum())
        prompts = ["" if rng.random() < NO_PROMPT else self.clips[row].caption for row in rows]
        context, pooled = zip(*map(text_encoders.prompt, prompts))
        wanted = [concept_list(self.clips[row], rng) for row in rows]
        areas = [torch.stack([self._area(row, concept) for concept in concepts]) for row, concepts in zip(rows, wanted)]
        sequences = [[text_encoders.concept(concept)[0] for concept in concepts] for concepts in wanted]
        longest = max(len(sequence) for one in sequences for sequence in one)
        sequences = [torch.stack([_padded(sequence, longest) for sequence in one]) for one in sequences]
        lengths = [torch.tensor([len(text_encoders.concept(concept)[0]) for concept in concepts]) for concepts in wanted]
        starts = [torch.tensor([text_encoders.concept(concept)[1] for concept in concepts]) for concepts in wanted]
        return ClipBatch(
            self.latents[rows],
            pad_sequence(context, batch_first=True),
            pad_sequence([torch.ones(len(one), dtype=torch.bool) for one in context], batch_first=True),
            torch.stack(pooled),
            pad_sequence(sequences, batch_first=True),
            torch.arange(longest) < pad_sequence(lengths, batch_first=True)[:, :, None],
            pad_sequence(starts, batch_first=True),
            pad_sequence(areas, batch_first=True),
        )

    def _area(self, row, concept):
        return self.coverage[row][things_named(self.clips[row], concept)].sum(0)


class ClipTextEncoders:
    """HunyuanVideo's text encoders, each text encoded once."""

    def __init__(self, clip):
        self.clip = clip
        self.prompts, self.concepts = {}, {}

    def prompt(self, text):
        """(context [tokens, width], pooled [width])"""
        if text not in self.prompts:
            context, pooled = self.clip.encode_from_tokens(self.clip.tokenize(text), return_pooled=True)
            self.prompts[text] = context[0], pooled[0]
        return self.prompts[text]

    def concept(self, text):
        """(the text [tokens, width], which of them stands for it)"""
        if text not in self.concepts:
            encoded = encode_concepts(self.clip, text)
            self.concepts[text] = encoded.sequences[0], encoded.starts[0]
        return self.concepts[text]


def _padded(sequence, length):
    return torch.nn.functional.pad(sequence, (0, 0, 0, length - len(sequence)))


def drawn(seed, world=WHOLE):
    """(clip without its pictures, latent [16, t, h, w], coverage [things + 1, N])"""
    clip = draw_clip(seed, LATENT_FRAMES, world=world)
    latent, coverage = latent_of(clip.frames), token_coverage(clip.coverage)
    clip.frames = clip.coverage = None
    return clip, latent, coverage


def latent_of(frames):
    """[16, t, H / 8, W / 8] of the frames [t, H, W, 3] that a latent holds."""
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2)
    return (torch.nn.functional.conv2d(pictures, cosine_basis(), stride=8) - latent_offset()[:, None, None]).transpose(0, 1)


def token_coverage(coverage):
    """[things + 1, N]: the share of each token of the clip that a thing covers."""
    things, frames, height, width = coverage.shape
    blocks = coverage.reshape(things, frames, height // TOKEN, TOKEN, width // TOKEN, TOKEN)
    return torch.from_numpy(blocks.mean((3, 5)).reshape(things, -1))
