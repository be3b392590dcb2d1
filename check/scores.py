"""What calibration needs to know of a model's scores: how far concepts lie apart in each block and step, and how often one has all."""

import torch
from torch import Tensor

from ..concept_core.api import Recording, decode
from ..concept_core.maps.decode import SHARPNESS, spread
from ..concept_core.maps.presence import presence
from ..concept_core.maps.selection import select
from ..concept_core.recording.scores import CROSS_SHARE

ALONE = 0.99  # of a token's share: one concept has it alone
GREY = 0.05  # above an even share: none has it


def by_block(recording: Recording, latent: Tensor, absent: str) -> dict:
    """Of a picture, [steps][blocks] each, the first step first.

    spread: how far scores lie from the mean over the concepts, root mean square over all tokens. highest: the largest score, by size.
    alone, grey: shares of tokens, after the softmax as Decode takes it, that one concept has nearly alone, and that are shared evenly.
    agrees: share of tokens whose strongest concept is that of the default maps. presence: by concept, of the default maps.
    """
    run, rows = recording.run_of(latent)
    space, unit = recording.spaces[0], recording.recipe.temperature if "output" in recording.spaces else 1.0
    maps = decode(recording, latent, steps="auto")
    strongest = maps.values.argmax(1)
    steps = [run.steps[sigma] for sigma in sorted(run.steps, reverse=True)]
    columns: dict[str, list] = {"spread": [], "highest": [], "alone": [], "grey": [], "agrees": []}
    for step in steps:
        scores = step[space][:, rows]  # [blocks, B, C, N]
        shares = step[CROSS_SHARE][:, rows] if space == "cross-attention" else (scores / (unit or spread(scores))).softmax(2)
        top = shares.amax(2)
        winners = shares.argmax(2).unflatten(2, run.grid)
        columns["spread"].append((spread(scores) * SHARPNESS).flatten(1).mean(1))
        columns["highest"].append(scores.abs().amax((1, 2, 3)))
        columns["alone"].append((top > ALONE).float().mean((1, 2)))
        columns["grey"].append((top < 1 / shares.shape[2] + GREY).float().mean((1, 2)))
        columns["agrees"].append(same(winners, strongest, run.size[0]))
    tables = {name: [[float(f"{x:.4g}") for x in row.tolist()] for row in rows_] for name, rows_ in columns.items()}
    there = presence(maps, select(maps, "*")).amax(0).tolist() if maps.softmaxed else []
    of_concepts = {name: round(score, 4) for name, score in zip(maps.names, there)}
    return {
        "sigmas": [float(f"{sigma:.4g}") for sigma in sorted(run.steps, reverse=True)],
        **tables,
        "presence": of_concepts,
        "absent": absent,
    }


def same(winners: Tensor, strongest: Tensor, frames: int) -> Tensor:
    """[blocks]: winners [blocks, B, t, h, w] of tokens, strongest [B, h, w] of pictures or of a clip's latent's frames."""
    in_a_token = -(-frames // winners.shape[2])
    at_frames = winners.repeat_interleave(in_a_token, 2)[:, :, :frames].flatten(1, 2)
    return (at_frames == strongest).float().flatten(1).mean(1)


def mean_by_block(table: list[list[float]]) -> list[float]:
    """[steps][blocks] → [blocks]"""
    return torch.tensor(table).mean(0).tolist()
