"""The recorded scores against a plain restatement of the method on the blocks' own modules, in ComfyUI's Flux."""

import copy
from types import SimpleNamespace

import oracle
import pytest
import tiny
import torch
from concept_attention.concept_core.families.flux import Flux1Stream
from probe import conditioning
from restated_flux import GUIDANCE, restated


@pytest.mark.parametrize(("heads", "depth", "height", "width"), [(1, 2, 6, 10), (2, 3, 12, 8), (3, 4, 7, 9)])
def test_scores_agree_with_a_plain_restatement(heads, depth, height, width):
    torch.manual_seed(heads)
    model = tiny.flux(heads=heads, depth=depth, single=2, seed=heads)
    x, context, pooled = torch.randn(1, 16, height, width), torch.randn(1, 5, 64), torch.randn(1, 32)
    embeddings = torch.randn(4, 64)
    recorded = oracle.record(model, x, conditioning(context, pooled, guidance=GUIDANCE), embeddings, "t5", single_blocks=True)
    oracle.assert_agree(recorded, lambda sigma: restated(model, x, context, pooled, embeddings[None], sigma))


@torch.no_grad()
def test_float16_tokens_that_overflow_are_clamped_as_the_prompt_is():
    """On the stream itself: ComfyUI computes a float16 model in float32 on the CPU."""
    network = copy.deepcopy(tiny.flux().model.diffusion_model).half()
    network.double_blocks[0].txt_mod.lin.bias.add_(10)  # gates of about 10
    network.double_blocks[0].txt_mlp[2].bias.fill_(3e4)
    forward = SimpleNamespace(
        concepts=lambda dtype: torch.randn(1, 3, 64, dtype=dtype), take=lambda x: x, recording=SimpleNamespace(single_blocks=1)
    )
    stream = Flux1Stream(network, forward, {"timestep": torch.tensor([0.5])})
    stream.begin(torch.float16)
    stream.enter(0, {}).leave(torch.randn(1, 3, 256).half())
    assert stream.tokens.dtype == torch.float16 and stream.tokens.abs().max() == 65504
    entered = stream.enter(1, {})
    assert all(torch.isfinite(x).all() for x in (entered.q, entered.k, entered.v))
