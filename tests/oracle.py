"""What the restatements of the method, one per model family, are compared with and have in common."""

import pytest
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.record.sampler import record_concepts
from probe import call_at

SIGMAS = [0.7, 0.2]
SHARE = torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]])


def record(model, x, positive, embeddings, encoder, **options):
    """sigma → space → scores that the pack records when the model is called on x [B, 16, H, W] at SIGMAS."""
    patched, recording = record_concepts(model, Concepts(("a", "b", "c"), 3, encoder, embeddings, SHARE), spaces="all", **options)
    with torch.no_grad():
        call_at(patched, positive, [x, x], SIGMAS)
    steps = recording.runs[0].steps
    assert list(steps) == pytest.approx(SIGMAS)
    return dict(zip(SIGMAS, steps.values()))


def assert_agree(recorded, restated, within=1e-5):
    """Every space, block and step to that part of the largest score."""
    for sigma, spaces in recorded.items():
        expected = restated(sigma)
        assert set(spaces) == set(expected)
        for space, scores in expected.items():
            assert spaces[space].shape == scores.shape
            worst = (spaces[space] - scores).abs().amax((1, 2, 3)) / scores.abs().amax((1, 2, 3))
            assert worst.max() <= within, (sigma, space, worst.tolist())


def softmax_attention(q, k, v):
    """[B, N, heads · d]"""
    return (torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, dim=-1) @ v).transpose(1, 2).flatten(2)
