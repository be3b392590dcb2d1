"""Random graphs of conditionings: the picture stays to the bit, and the maps are those of loops over latent pixels."""

import random

import comfy.samplers
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from concept_attention.concept_core.maps.decode import decode
from kinds import by_turns
from probe import call_at

GRAPHS = 16  # by turns of one of the models; a few hundred of them found no more
SAMPLERS = ["euler", "heun", "dpm_2", "dpmpp_2m", "lcm", "euler_cfg_pp", "seeds_2"]


def draw_graph(kind, seed):
    """(options of a conditioning list each for positive and negative, how they are sampled)"""
    draw = random.Random(seed)
    size = draw.randint(2, 13), draw.randint(2, 13)
    batch = draw.randint(1, 3)
    positive = [draw_conditioning(kind, draw, size, batch) for _ in range(draw.randint(1, 4))]
    negative = [draw_conditioning(kind, draw, size, batch) for _ in range(draw.choice([1, 1, 2]))]
    sampling = dict(
        size=size, batch=batch, sampler=draw.choice(SAMPLERS), steps=draw.randint(2, 3), cfg=draw.choice([1.0, 4.5]),
        denoise=draw.choice([1.0, 0.6]), positive=sum(positive, []), negative=sum(negative, []),
    )  # fmt: skip
    return sampling, draw.random() < 0.3


def draw_conditioning(kind, draw, size, batch):
    """One conditioning with what ComfyUI's nodes may set."""
    ((context, options),) = draw.choice(kind.prompts)
    options = dict(options)
    if draw.random() < 0.5:
        options["strength"] = draw.choice([0.0, 0.3, 1.0, 2.5])
    kind_of_area = draw.choice(["", "", "latent", "percentage", "whole"])
    if kind_of_area == "latent":
        top, left = draw.randrange(size[0]), draw.randrange(size[1])
        options["area"] = (draw.randint(1, size[0]), draw.randint(1, size[1]), top, left)
    elif kind_of_area == "percentage":
        options["area"] = ("percentage", draw.random(), draw.random(), 0.9 * draw.random() / 2, 0.9 * draw.random() / 2)
    elif kind_of_area == "whole":
        options["area"] = ("percentage", 1.0, 1.0, 0.0, 0.0)
    if draw.random() < 0.4:
        options |= draw_mask(draw, size, batch)
    if draw.random() < 0.3:
        start = draw.choice([0.0, 0.3, 0.7])
        options |= {"start_percent": start, "end_percent": draw.choice([start + 0.2, 1.0])}
    if draw.random() < (0.1 if kind_of_area in ("latent", "percentage") else 0.3):
        options["default"] = True
    return [[context, options]]


def draw_mask(draw, size, batch):
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    of_what = size if draw.random() < 0.7 else (size[0] * 3, size[1] * 2)
    mask = torch.rand(draw.choice([1, batch]), *of_what, generator=generator)
    if draw.random() < 0.6:
        mask = (mask > draw.choice([0.0, 0.5, 1.0])).float()
    return {"mask": mask, "mask_strength": draw.choice([0.0, 0.5, 1.0]), "set_area_to_bounds": draw.random() < 0.2}


def watch(model):
    """A clone of a model, and the list that its passes over all conditionings come into: (conditionings, latent, sigma)."""
    model, passes = model.clone(), []

    def listen(executor, inner, conds, x, timestep, options):
        passes.append((conds[0], x.clone(), timestep))
        return executor(inner, conds, x, timestep, options)

    model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "watch", listen)
    return model, passes


def weights(conditionings, x, sigma):
    """(conditioning, top, left, weight [B, h, w]) of those that count, defaults included."""
    active = [(c, comfy.samplers.get_area_and_mult({**c, "model_conds": {}}, x, sigma)) for c in conditionings]
    placed = [(c, *(a.area[2:] if a.area else (0, 0)), a.mult[:, 0]) for c, a in active if a is not None]
    others = [part for part in placed if "default" not in part[0]]
    defaults = [part for part in placed if "default" in part[0]]
    left_over = torch.ones(len(x), *x.shape[2:])
    for _, top, left, weight in others:
        for row in range(weight.shape[1]):
            for column in range(weight.shape[2]):
                left_over[:, top + row, left + column] -= weight[:, row, column]
    left_over = left_over.clamp(min=0)
    return others + ([(c, top, left, left_over) for c, top, left, _ in defaults] if left_over.any() else [])


def restated(kind, conditionings, x, sigma):
    """[blocks, B, C, h, w] of one pass, or None where no conditioning is active."""
    parts = weights(conditionings, x, sigma)
    if not parts:
        return None
    total, total_weight = 0, torch.zeros(len(x), *x.shape[2:])
    for conditioning, top, left, weight in parts:
        height, width = weight.shape[1:]
        heard = heard_alone(kind, conditioning, x[..., top : top + height, left : left + width], sigma)
        if isinstance(total, int):
            total = torch.zeros(*heard.shape[:3], *x.shape[2:])
        for row in range(height):
            for column in range(width):
                total[..., top + row, left + column] += weight[:, None, row, column] * heard[..., row // 2, column // 2]
                total_weight[:, top + row, left + column] += weight[:, row, column]
    rows, columns = (-(-length // 2) for length in x.shape[2:])
    scores = torch.zeros(*total.shape[:3], rows, columns)
    for row in range(rows):
        for column in range(columns):
            patch = slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2)
            summed, weight = total[(..., *patch)].sum((-2, -1)), total_weight[(..., *patch)].sum((-2, -1))[:, None]
            scores[..., row, column] = torch.where(weight > 0, summed / weight, 0)
    return scores


def heard_alone(kind, conditioning, x, sigma):
    """Of a conditioning's prompt, alone and for all of x."""
    context = conditioning["model_conds"]["c_crossattn"].cond
    (prompt,) = (prompt for prompt in kind.prompts if torch.equal(prompt[0][0], context))
    patched, recording = kind.record()
    with torch.no_grad():
        call_at(patched, prompt, [x], [float(sigma[0]), 0.0])
    (step,) = recording.runs[0].steps.values()
    return step["output"].unflatten(-1, recording.runs[0].grid[1:])


def restated_steps(kind, passes):
    """sigma → scores, the mean over its passes."""
    by_sigma = {}
    for conditionings, x, sigma in passes:
        scores = restated(kind, conditionings, x, sigma)
        if scores is not None:
            by_sigma.setdefault(float(sigma[0]), []).append(scores)
    return {sigma: sum(scores) / len(scores) for sigma, scores in by_sigma.items()}


def sample(kind, model, options):
    """The latent, or the error in its place."""
    generator = torch.Generator().manual_seed(5)
    latent = torch.randn(options["batch"], 16, *options["size"], generator=generator)
    positive, negative = options["positive"], options["negative"]
    choices = {name: options[name] for name in ("sampler", "steps", "cfg", "denoise")}
    try:
        return kind.sample(model, latent=latent, positive=positive, negative=negative, **choices)
    except Exception as error:
        return error


@pytest.mark.long
@pytest.mark.parametrize(("seed", "kind"), by_turns(range(GRAPHS), ["flux", "sd3"]), indirect=["kind"])
def test_random_graphs(kind, seed, monkeypatch):
    options, apart = draw_graph(kind, seed)
    if apart:
        monkeypatch.setattr(kind.model.model, "memory_required", lambda *args, **kwargs: float("inf"))
    plain, passes = watch(kind.model)
    expected = sample(kind, plain, options)
    patched, recording = kind.record()
    samples = sample(kind, patched, options)
    if isinstance(expected, Exception):
        assert isinstance(samples, Exception) and "Concept Attention cannot" not in str(samples) and recording.runs == []
        return
    if isinstance(samples, Exception):
        raise samples
    assert torch.equal(samples, expected)
    steps = restated_steps(kind, passes)
    run = recording.runs[0]
    assert run.steps.keys() == steps.keys()
    if not steps:
        with pytest.raises(ValueError, match="none of the positive conditionings was active"):
            decode(recording, samples)
        return
    for sigma, scores in steps.items():
        assert (run.steps[sigma]["output"].unflatten(-1, run.grid[1:]) - scores).abs().max() <= 1e-4 * scores.abs().max()
    blocks = list(recording.default_blocks)
    maps = sum(scores[blocks].softmax(2).mean(0) for scores in steps.values()) / len(steps)
    torch.testing.assert_close(decode(recording, samples).values, maps, atol=1e-3, rtol=0)
