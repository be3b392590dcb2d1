"""Scores against plain loops in float64."""

import pytest
import torch
from concept_attention.concept_core.families.joint import attend
from concept_attention.concept_core.recording.scores import CROSS_SHARE, cross_scores, output_scores, value_scores

HEADS, WIDTH, TOKENS, IMAGE = 3, 4, 5, 7
SHARE = torch.tensor([[1.0, 0, 0, 0, 0], [0, 0.5, 0.5, 0, 0], [0, 0, 0, 0.5, 0.5]])
OWN_TOKENS = [[0], [1, 2], [3, 4]]


@pytest.fixture
def heads():
    generator = torch.Generator().manual_seed(0)
    return lambda tokens: torch.randn(2, HEADS, tokens, WIDTH, generator=generator)


def test_output_score_is_the_mean_of_the_tokens_scores(heads):
    concept, image = heads(TOKENS).transpose(1, 2).flatten(2), heads(IMAGE).transpose(1, 2).flatten(2)
    scores = output_scores(SHARE, concept, image)
    for b in range(2):
        for c, tokens in enumerate(OWN_TOKENS):
            for n in range(IMAGE):
                dots = [concept[b, t].double() @ image[b, n].double() for t in tokens]
                assert scores[b, c, n].item() == pytest.approx(sum(dots).item() / len(dots), abs=1e-5)


def test_cross_attention_and_value_scores(heads):
    keys, queries = heads(TOKENS), heads(IMAGE)
    cross, value = cross_scores(SHARE, keys, queries), value_scores(SHARE, keys, queries)
    for b in range(2):
        for n in range(IMAGE):
            per_head = torch.tensor(
                [
                    [sum(keys[b, h, t].double() @ queries[b, h, n].double() for t in tokens) / len(tokens) for tokens in OWN_TOKENS]
                    for h in range(HEADS)
                ]
            )
            torch.testing.assert_close(cross["cross-attention"][b, :, n].double(), per_head.double().mean(0), atol=1e-5, rtol=0)
            torch.testing.assert_close(cross[CROSS_SHARE][b, :, n].double(), per_head.double().softmax(1).mean(0), atol=1e-5, rtol=0)
            torch.testing.assert_close(value[b, :, n].double(), per_head.double().sum(0), atol=1e-5, rtol=0)


@pytest.mark.parametrize("attends_to", [("concepts", "image"), ("concepts",), ("image",), ()])
def test_concepts_attend_to_concepts_and_image(heads, attends_to):
    """Or, as in the paper's ablation, to one of them, or to nothing."""
    q, k, v, image_k, image_v = heads(TOKENS), heads(TOKENS), heads(TOKENS), heads(IMAGE), heads(IMAGE)
    out = attend(q, k, v, image_k, image_v, attends_to).double()
    for b in range(2):
        for h in range(HEADS):
            heard = {"concepts": (k[b, h], v[b, h]), "image": (image_k[b, h], image_v[b, h])}
            keys, values = (torch.cat([heard[name][i] for name in attends_to]).double() if attends_to else None for i in (0, 1))
            expected = torch.softmax(q[b, h].double() @ keys.T / WIDTH**0.5, dim=1) @ values if attends_to else v[b, h].double()
            torch.testing.assert_close(out[b, :, h * WIDTH : (h + 1) * WIDTH], expected, atol=1e-5, rtol=0)


def test_half_precision_vectors_do_not_overflow():
    vectors = torch.full((1, 1, 3072), 30.0, dtype=torch.float16)
    assert output_scores(torch.ones(1, 1), vectors, vectors).item() == 3072 * 900
