"""ComfyUI's attention back ends, as its command-line flags choose them: under one name that its networks import."""

import sys

import comfy.ldm.modules.attention as attention
import oracle
import pytest
import restated_flux
import restated_sd3
import tiny
import torch
from probe import conditioning

BACKENDS = [attention.attention_split, attention.attention_sub_quad, attention.attention_pytorch]
FAMILIES = {
    "flux": (tiny.flux, {"guidance": restated_flux.GUIDANCE}, "t5", {"single_blocks": True}, restated_flux.restated),
    "sd3": (lambda: tiny.sd3(second_attention=(0,)), {}, "clip", {}, restated_sd3.restated),
}


@pytest.fixture(params=BACKENDS, ids=lambda function: function.__name__)
def calls(request, monkeypatch):
    """Of the back end that is in place of the one that ComfyUI chose."""
    heard, chosen = [], attention.optimized_attention

    def backend(*args, **kwargs):
        heard.append(kwargs)
        return request.param(*args, **kwargs)

    for module in list(sys.modules.values()):
        for name, value in list(vars(module).items()):
            if value is chosen and name.startswith("optimized_attention"):
                monkeypatch.setattr(module, name, backend)
    return heard


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_agree_with_a_plain_restatement(family, calls):
    load, options, encoder, choices, restated = FAMILIES[family]
    model, generator = load(), torch.Generator().manual_seed(4)
    shapes = [(1, 16, 7, 9), (1, 5, 64), (1, 32), (4, 64)]
    x, context, pooled, embeddings = (torch.randn(shape, generator=generator) for shape in shapes)
    recorded = oracle.record(model, x, conditioning(context, pooled, **options), embeddings, encoder, **choices)
    assert len(calls) >= 2 * 3  # two steps of three blocks
    oracle.assert_agree(recorded, lambda sigma: restated(model, x, context, pooled, embeddings[None], sigma))
