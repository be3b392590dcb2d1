"""From a recording to one map per concept."""

from torch import Tensor

from ..recording.blocks import parse_blocks
from ..recording.recording import Recording, Run
from ..recording.scores import CROSS_SHARE
from ..recording.window import check_window
from .maps import Maps


def decode(
    recording: Recording,
    samples: Tensor,
    space: str = "output",
    *,
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
    if run.abort_reason:
        raise ValueError(
            f"This picture has no maps: {run.abort_reason}. Sample again with fewer concepts, with spaces "
            'set to "output" in the Apply node, or with a narrower start_percent to end_percent.'
        )
    steps = run.window(start_percent, end_percent)
    if not steps:
        raise ValueError(f"No recorded step lies between {start_percent:g} and {end_percent:g}: {_recorded(run)}")
    softmaxed = softmax and len(recording.concepts.names) > 1
    total = sum(_mean_over_blocks(step, space, chosen, rows, softmaxed, temperature) for step in steps)
    return Maps(
        values=(total / len(steps)).unflatten(2, run.grid),
        names=recording.concepts.names,
        num_shown=recording.concepts.num_shown,
        softmaxed=softmaxed,
        image_size=run.image_size,
        pixels_per_token=recording.pixels_per_token,
    )


def _mean_over_blocks(step, space, blocks, rows, softmaxed, temperature):
    """[B, C, N] of one step."""
    if not softmaxed:
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
    if run.skip_reason:
        return f"none was recorded, since {run.skip_reason}."
    return "none was recorded. Widen start_percent and end_percent of the Apply node, and see that the sampler takes a step."
