"""From a recording to one map per concept."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .blocks import parse_blocks
from .recording import Recording, Run
from .scores import CROSS_SHARE
from .window import check_window


@dataclass(frozen=True)
class Maps:
    """Concept maps at the model's own resolution.

    values: [B, C, h, w] float32; shares in 0..1 that sum to 1 over C where `shares`, else raw scores of any range.
    names: C concepts, of which the first `shown` are to be shown; the rest are the background list.
    image_size: height and width of the picture in pixels. One token covers pixels_per_token² pixels of it, and the
    last row and column may reach beyond its edge.
    """

    values: Tensor
    names: tuple[str, ...]
    shown: int
    shares: bool
    image_size: tuple[int, int]
    pixels_per_token: int

    def checked(self) -> "Maps":
        """These maps; ValueError if there is NaN or infinity in them."""
        if not torch.isfinite(self.values).all():
            raise ValueError("The maps hold NaN or infinity: the model's numbers overflowed. Sample in bfloat16 or float32.")
        return self

    def of_picture(self, number: int) -> "Maps":
        """Those of a single picture, [1, C, h, w]."""
        return replace(self, values=self.values[number : number + 1])


def decode(
    recording: Recording,
    samples: Tensor,
    space: str = "output",
    blocks: str = "auto",
    start_percent: float = 0.0,
    end_percent: float = 1.0,
    softmax: bool = True,
    temperature: float = 1.0,
) -> Maps:
    """Softmax over concepts for each step and block, then the mean over the chosen steps and blocks.

    samples: [B, channels, h, w], the sampler's output. One concept alone has no softmax: it would be 1 everywhere.
    In cross-attention space the softmax is taken in each head at sampling time, and a temperature other than 1 acts on
    the mean over heads. ValueError names what cannot be decoded and the mend.
    """
    check_window(start_percent, end_percent)
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, it is {temperature:g}.")
    if space not in recording.spaces:
        raise ValueError(f'{space} space was not recorded: set spaces to "{_spaces_with(space)}" in the Apply node and sample again.')
    chosen = parse_blocks(blocks, recording.depth, recording.default_blocks)
    run, rows = recording.run_of(samples)
    if run.given_up:
        raise ValueError(
            f"This picture has no maps: {run.given_up}. Sample again with fewer concepts, with spaces "
            'set to "output" in the Apply node, or with a narrower start_percent to end_percent.'
        )
    steps = run.window(start_percent, end_percent)
    if not steps:
        raise ValueError(f"No recorded step lies between {start_percent:g} and {end_percent:g}: {_recorded(run)}")
    shares = softmax and len(recording.concepts.names) > 1
    total = sum(_mean_over_blocks(step, space, chosen, rows, shares, temperature) for step in steps)
    return Maps(
        values=(total / len(steps)).unflatten(2, run.grid),
        names=recording.concepts.names,
        shown=recording.concepts.shown,
        shares=shares,
        image_size=run.image_size,
        pixels_per_token=recording.pixels_per_token,
    )


def _mean_over_blocks(step, space, blocks, rows, shares, temperature):
    """[B, C, N] of one step."""
    if not shares:
        return step[space][blocks][:, rows].mean(0)
    if space == "cross-attention":
        share = step[CROSS_SHARE][blocks][:, rows]
        return (share.clamp(min=1e-30).log() / temperature).softmax(2).mean(0)
    return (step[space][blocks][:, rows] / temperature).softmax(2).mean(0)


def _spaces_with(space):
    return "all" if space == "value" else "output + cross-attention"


def _recorded(run: Run):
    if run.steps:
        return f"{len(run.steps)} steps are recorded, between sigma {max(run.steps):.3f} and {min(run.steps):.3f}."
    if run.missed:
        return f"none was recorded, since {run.missed}."
    return "none was recorded. Widen start_percent and end_percent of the Apply node, and see that the sampler takes a step."
