"""From a recording to one map per concept."""

from collections.abc import Mapping
from operator import itemgetter

from torch import Tensor

from ..recording.blocks import parse_blocks
from ..recording.recipe import Recipe
from ..recording.recording import Recording, Run
from ..recording.scores import CROSS_SHARE, PROMPT_WORDS
from ..recording.window import check_window
from .maps import Maps

ORDERS = ("auto", "softmax first", "mean first")
STEPS = ("auto", "all")
SHARPNESS = 3.0  # docs/evaluation.md


def decode(
    recording: Recording,
    samples: Tensor,
    space: str = "auto",
    *,
    blocks: str = "auto",
    start_percent: float = 0.0,
    end_percent: float = 1.0,
    softmax: bool = True,
    temperature: float = 1.0,
    order: str = "auto",
    steps: str = "all",
    recording_before: Recording | None = None,
) -> Maps:
    """Softmax over concepts and the mean over the chosen steps and blocks, in the order that the family's authors publish.

    samples: [B, channels, h, w], the sampler's output. space: "auto" for the first that was recorded. One concept alone has no
    softmax: it would be 1 everywhere. temperature: in output space in units of the family's own. In cross-attention space the softmax is
    taken in each head at sampling time, and a temperature other than 1 acts on the mean over heads. Of prompt words the softmax makes each
    word's part of their sum. order: one of ORDERS; "auto" is the
    recording's recipe in output space, and else the softmax first. steps: "all", or "auto", the recipe's of those in the window.
    recording_before: of the model that sampled first where two share one schedule: the steps of both count as those of one sampling.
    ValueError names what cannot be decoded and the mend.
    """
    check_window(start_percent, end_percent)
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, it is {temperature:g}.")
    if space == "auto":
        space = recording.spaces[0]
    if space not in recording.spaces:
        raise ValueError(_not_recorded(space, recording))
    chosen = parse_blocks(blocks, recording.depth, recording.default_blocks, single_blocks=recording.single_blocks)
    run, rows = recording.run_of(samples)
    if run.abort_reason:
        raise ValueError(
            f"This picture has no maps: {run.abort_reason}. Sample again with fewer concepts, with spaces "
            'set to "output" in the Apply node, or with a narrower start_percent to end_percent.'
        )
    if run.size[0] > 1 and len(rows) > 1:
        raise ValueError(f"These are {len(rows)} clips, and maps are made of one at a time: take one out with Latent From Batch.")
    if recording.summed and (start_percent, end_percent) != (0, 1):
        raise ValueError("Maps of prompt words are sums over steps: set start_percent and end_percent in the Apply node, not here.")
    parts = [(run, rows)] if recording_before is None else [(run, rows), earlier_part(recording, recording_before, run, rows)]
    window = steps_of(parts, start_percent, end_percent)
    if not window:
        raise ValueError(f"No recorded step lies between {start_percent:g} and {end_percent:g}: {_recorded(run)}")
    recipe = recording.recipe if space == "output" else Recipe()
    softmaxed = softmax and len(recording.concepts.names) > 1
    mean_first = not softmaxed or space == PROMPT_WORDS or (recipe.mean_first if order == "auto" else order == "mean first")
    per_step = _mean_of_raw if mean_first else _mean_of_softmaxed
    chosen_steps = recording.recipe.steps(window) if steps == "auto" else window
    unit = recipe.temperature
    mean = sum(per_step(step, space, chosen, its_rows, temperature, unit) for step, its_rows in chosen_steps) / len(chosen_steps)
    if softmaxed and space == PROMPT_WORDS:
        mean = _shares(mean, temperature, 1)
    elif softmaxed and mean_first:
        mean = (mean / (temperature * (unit or spread(mean)))).softmax(1)
    return Maps(
        values=at_latent_frames(mean.unflatten(2, run.grid), run.size[0]),
        names=recording.concepts.names,
        num_shown=recording.concepts.num_shown,
        softmaxed=softmaxed,
        image_size=run.image_size,
        pixels_per_token=recording.pixels_per_token,
        frames_per_latent=recording.frames_per_latent if run.size[0] > 1 else 0,
    )


def earlier_part(recording: Recording, before: Recording, run: Run, rows: list[int]) -> tuple[Run, list[int]]:
    """The run of `before` that the run went on from, and for each of the run's rows its own there. ValueError if there is none, or if the
    two did not record the same."""
    for what, one, other in (
        ("concepts", recording.concepts.names, before.concepts.names),
        ("spaces", recording.spaces, before.spaces),
        ("number of blocks", recording.depth, before.depth),
    ):
        if one != other:
            said = f"recording_before: its {what} are others than the recording's, {other} and {one}"
            raise ValueError(f"{said}. Give both Apply nodes the same concepts and settings.")
    if recording.summed:
        raise ValueError("recording_before: maps of prompt words are sums over steps of one model. Take it out.")
    found = None if run.went_on_with is None else before.find(run.went_on_with[rows])
    if found is None or found[0].grid != run.grid:
        raise ValueError(
            "recording_before: none of its samplings gave out the latent that this one went on with. Connect the recording of the Apply "
            "node before the first sampler, and the first sampler's latent to the second, which adds no noise."
        )
    if found[0].abort_reason:
        raise ValueError(f"recording_before: its sampling has no maps: {found[0].abort_reason}.")
    return found


def steps_of(parts: list[tuple[Run, list[int]]], start_percent: float, end_percent: float) -> list[tuple[Mapping[str, Tensor], list[int]]]:
    """Scores, and which rows of them count, of all steps of some samplings between two points of the schedule, first step first."""
    found = [(sigma, run.steps[sigma], rows) for run, rows in parts for sigma in run.sigmas(start_percent, end_percent)]
    return [(step, rows) for _, step, rows in sorted(found, key=itemgetter(0), reverse=True)]


def at_latent_frames(values: Tensor, frames: int) -> Tensor:
    """[B, C, h, w] of pictures, or of the frames of one clip, from [B, C, t, h, w], where a token may stand for several of them."""
    in_a_token = -(-frames // values.shape[2])
    return values.repeat_interleave(in_a_token, 2)[:, :, :frames].movedim(2, 1).flatten(0, 1)


def shares_of(recording: Recording, step: Mapping[str, Tensor], rows=slice(None)) -> Tensor:
    """[B, C, N] of one step's scores [blocks, B, C, N] as `decode` makes them unless it is told otherwise."""
    space, blocks, unit = recording.spaces[0], list(recording.default_blocks), recording.recipe.temperature
    if space == PROMPT_WORDS:
        return _shares(_mean_of_raw(step, space, blocks, rows, 1.0, unit), 1.0, 1)
    if space == "output" and recording.recipe.mean_first:
        mean = _mean_of_raw(step, space, blocks, rows, 1.0, unit)
        return (mean / (unit or spread(mean))).softmax(1)
    return _mean_of_softmaxed(step, space, blocks, rows, 1.0, unit if space == "output" else 1.0)


def _mean_of_raw(step, space, blocks, rows, temperature, unit):
    """[B, C, N] of one step."""
    return step[space][blocks][:, rows].mean(0)


def _mean_of_softmaxed(step, space, blocks, rows, temperature, unit):
    """[B, C, N] of one step."""
    if space == "cross-attention":
        return _shares(step[CROSS_SHARE][blocks][:, rows], temperature, 2).mean(0)
    scores = step[space][blocks][:, rows]
    return (scores / (temperature * (unit or spread(scores)))).softmax(2).mean(0)


def _shares(probabilities: Tensor, temperature: float, dim: int) -> Tensor:
    """Of what is no score but a probability, or a sum of some: at temperature 1 each one's part of their sum."""
    return (probabilities.clamp(min=1e-30).log() / temperature).softmax(dim)


def spread(scores: Tensor) -> Tensor:
    """[..., 1, 1] of scores [..., C, N]: a SHARPNESS-th of how far concepts lie apart, over all tokens of a picture in a block and step.

    What scores are divided by where nobody has published a temperature: blocks and models differ in scale by orders of magnitude, and a
    softmax of the scores as they are would be all or nothing in one and grey in the other.
    """
    apart = scores - scores.mean(-2, keepdim=True)
    return (apart.square().mean((-2, -1), keepdim=True).sqrt() / SHARPNESS).clamp(min=1e-12)


def _not_recorded(space: str, recording: Recording) -> str:
    if "output" not in recording.spaces:
        return f"{space} space was not recorded, only {recording.spaces[0]}, since this model has no other: set space to auto."
    wanted = "all" if space == "value" else "output + cross-attention"
    return f'{space} space was not recorded: set spaces to "{wanted}" in the Apply node and sample again.'


def _recorded(run: Run):
    if run.steps:
        return f"{len(run.steps)} steps are recorded, between sigma {max(run.steps):.3f} and {min(run.steps):.3f}."
    if run.skip_reason:
        return f"none was recorded, since {run.skip_reason}."
    return "none was recorded. Widen start_percent and end_percent of the Apply node, and see that the sampler takes a step."
