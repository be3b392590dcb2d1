"""The recorded scores against a plain restatement of the method on the blocks' own modules, in ComfyUI's MMDiT."""

import oracle
import pytest
import tiny
import torch
from probe import conditioning
from restated_sd3 import restated


@pytest.mark.parametrize(
    ("depth", "kind", "height", "width"),
    [
        (2, {}, 6, 10),
        (3, {"second_attention": (0, 1)}, 12, 8),
        (4, {"second_attention": (0,), "positions": 16}, 7, 9),
        (3, {"norms": False, "positions": 12}, 8, 8),
    ],
    ids=["large", "medium", "medium with a position table", "SD3"],
)
def test_scores_agree_with_a_plain_restatement(depth, kind, height, width):
    torch.manual_seed(depth)
    model = tiny.sd3(depth=depth, seed=depth, **kind)
    x, context, pooled = torch.randn(1, 16, height, width), torch.randn(1, 5, 64), torch.randn(1, 32)
    embeddings = torch.randn(4, 64)
    recorded = oracle.record(model, x, conditioning(context, pooled), embeddings, "clip")
    assert recorded[oracle.SIGMAS[0]]["output"].shape[0] == depth - 1
    oracle.assert_agree(recorded, lambda sigma: restated(model, x, context, pooled, embeddings[None], sigma))
