"""Which rows of a model call count, and where in the picture their scores lie."""

import comfy.samplers
import pytest
import torch
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
from comfy_extras.nodes_custom_sampler import Guider_Basic, Guider_DualCFG
from comfy_extras.nodes_perpneg import Guider_PerpNeg
from concept_attention.concept_core.maps.decode import decode
from probe import call_at

SIGMAS = [0.9, 0.3]
SIZE = (8, 12)
LATENTS = [torch.randn(2, 16, *SIZE, generator=torch.Generator().manual_seed(i)) for i in range(2)]


def heard(kind, positive, latents=LATENTS, sigmas=SIGMAS, **options):
    """[steps, blocks, B, C, h, w]: output-space scores of the model called on the latents."""
    patched, recording = kind.record()
    with torch.no_grad():
        call_at(patched, positive, latents, sigmas, **options)
    (run,) = recording.runs
    return torch.stack([step["output"] for step in run.steps.values()]).unflatten(-1, run.grid[1:])


def changed(conditioning, **options):
    return [[context, {**values, **options}] for context, values in conditioning]


def assert_close(scores, expected):
    assert (scores - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_negative_rows_do_not_count(kind):
    positive, negative, _ = kind.prompts
    alone = heard(kind, positive)
    assert_close(heard(kind, positive, negative=negative, cfg=4.5), alone)
    assert (heard(kind, negative) - alone).abs().max() > 0.01 * alone.abs().max()


def test_positive_and_negative_run_apart_where_memory_is_short(kind, monkeypatch):
    positive, negative, _ = kind.prompts
    together = heard(kind, positive, negative=negative, cfg=4.5)
    calls = []
    apply_model = kind.model.model.apply_model
    monkeypatch.setattr(kind.model.model, "memory_required", lambda *args, **kwargs: float("inf"))
    monkeypatch.setattr(kind.model.model, "apply_model", lambda x, *args, **kwargs: calls.append(len(x)) or apply_model(x, *args, **kwargs))
    assert_close(heard(kind, positive, negative=negative, cfg=4.5), together)
    assert calls == [2, 2, 2, 2]  # two pictures, two conditionings, two steps


def basic(guider, positive, negative, other):
    guider.set_conds(positive)


def plain(guider, positive, negative, other):
    guider.set_conds(positive, negative)
    guider.set_cfg(4.5)


def dual(guider, positive, negative, other):
    guider.set_conds(positive, other, negative)
    guider.set_cfg(3.0, 2.0)


def nested(guider, positive, negative, other):
    guider.set_conds(positive, other, negative)
    guider.set_cfg(3.0, 2.0, nested=True)


def perpendicular(guider, positive, negative, other):
    guider.set_conds(positive, negative, other)
    guider.set_cfg(4.0, 1.0)


@pytest.mark.parametrize(
    ("guider_class", "prepare"),
    [
        (Guider_Basic, basic),
        (comfy.samplers.CFGGuider, plain),
        (Guider_DualCFG, dual),
        (Guider_DualCFG, nested),
        (Guider_PerpNeg, perpendicular),
    ],
)
@pytest.mark.parametrize("area", [False, True])
def test_the_positive_prompt_is_found_where_a_guider_puts_it(kind, guider_class, prepare, area):
    """DualCFGGuider calls the model on negative, middle, positive, in that order; an area is copied to the others."""
    positive, negative, other = kind.prompts
    if area:
        positive = positive + changed(other, area=(4, 6, 2, 4), strength=2.0)
    noise, empty = torch.randn(1, 16, *SIZE), torch.zeros(1, 16, *SIZE)
    steps, samples = [], {}
    for model in (kind.model, kind.record()):
        patched, recording = model if isinstance(model, tuple) else (model, None)
        guider = guider_class(patched)
        prepare(guider, positive, negative, other)
        samples[recording is None] = guider.sample(noise, empty, comfy.samplers.sampler_object("euler"), torch.tensor([1.0, 0.6, 0.0]))
    assert torch.equal(samples[True], samples[False])
    steps = recording.runs[0].steps
    expected = heard(kind, positive, [noise], [1.0])
    assert_close(steps[1.0]["output"].unflatten(-1, (4, 6)), expected[0])


def test_a_guider_without_a_positive_conditioning_is_refused(kind):
    class TwoPrompts(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options={}, seed=None):
            return comfy.samplers.calc_cond_batch(self.inner_model, [self.conds["first"]], x, timestep, model_options)[0]

    patched, recording = kind.record()
    guider = TwoPrompts(patched)
    guider.inner_set_conds({"first": kind.prompts[0]})
    with pytest.raises(ValueError, match="which conditioning of TwoPrompts is the positive one. Use another guider"):
        guider.sample(
            torch.randn(1, 16, *SIZE), torch.zeros(1, 16, *SIZE), comfy.samplers.sampler_object("euler"), torch.tensor([1.0, 0.0])
        )
    assert recording.runs == []


@pytest.mark.parametrize("strengths", [(1.0, 1.0), (1.0, 3.0)])
def test_combined_conditionings_are_averaged_by_their_strength(kind, strengths):
    first, second, _ = kind.prompts
    combined = changed(first, strength=strengths[0]) + changed(second, strength=strengths[1])
    weights = torch.tensor(strengths) / sum(strengths)
    assert_close(heard(kind, combined), weights[0] * heard(kind, first) + weights[1] * heard(kind, second))


def test_conditionings_that_take_turns(kind):
    first, second, _ = kind.prompts
    ranged = changed(first, start_percent=0.0, end_percent=0.5) + changed(second, start_percent=0.5, end_percent=1.0)
    scores = heard(kind, ranged)
    assert_close(scores[0], heard(kind, first)[0])
    assert_close(scores[1], heard(kind, second)[1])


def half_mask(value=1.0):
    mask = torch.zeros(1, *SIZE)
    mask[..., 6:] = value
    return mask


def test_masks(kind):
    """The second half is the second prompt's; in the first only the first prompt counts."""
    first, second, _ = kind.prompts
    scores = heard(kind, changed(first, mask=1 - half_mask()) + changed(second, mask=half_mask()))
    assert_close(scores[..., :3], heard(kind, first)[..., :3])
    assert_close(scores[..., 3:], heard(kind, second)[..., 3:])


def test_masks_of_part_strength(kind):
    first, second, _ = kind.prompts
    scores = heard(kind, first + changed(second, mask=half_mask(0.5), mask_strength=2.0, strength=3.0))
    of_first, of_second = heard(kind, first), heard(kind, second)
    assert_close(scores[..., :3], of_first[..., :3])
    assert_close(scores[..., 3:], of_first[..., 3:] / 4 + of_second[..., 3:] * 3 / 4)


def test_what_no_mask_covers_is_the_default_conditionings(kind):
    first, second, _ = kind.prompts
    scores = heard(kind, changed(first, mask=half_mask()) + changed(second, default=True))
    assert_close(scores[..., 3:], heard(kind, first)[..., 3:])
    assert_close(scores[..., :3], heard(kind, second)[..., :3])


@pytest.mark.parametrize("others", [{}, {"mask": torch.ones(1, *SIZE)}], ids=["whole", "mask"])
def test_a_default_with_an_area_where_nothing_is_left_over(kind, others):
    """ComfyUI leaves the default out."""
    first, second, _ = kind.prompts
    positive = changed(first, **others) + changed(second, default=True, area=(4, 6, 2, 4))
    patched, recording = kind.record()
    samples = kind.sample(patched, positive=positive)
    assert torch.equal(samples, kind.sample(positive=positive))
    alone, expected = kind.record()
    assert torch.equal(decode(recording, samples).values, decode(expected, kind.sample(alone, positive=first)).values)


def test_a_default_with_an_area_of_the_whole_picture(kind):
    first, second, _ = kind.prompts
    scores = heard(kind, changed(first, mask=half_mask()) + changed(second, default=True, area=("percentage", 1.0, 1.0, 0.0, 0.0)))
    assert_close(scores[..., 3:], heard(kind, first)[..., 3:])
    assert_close(scores[..., :3], heard(kind, second)[..., :3])


def test_a_default_with_an_area_where_something_is_left_over_is_refused(kind):
    """ComfyUI multiplies what is left over of the picture with a prediction of the area's size, which fails without the nodes too."""
    first, second, _ = kind.prompts
    positive = changed(first, mask=half_mask()) + changed(second, default=True, area=(4, 6, 2, 4))
    with pytest.raises(RuntimeError, match="must match the size"):
        kind.sample(positive=positive)
    patched, recording = kind.record()
    with pytest.raises(ValueError, match="ComfyUI cannot sample that.*Take the area out of the default conditioning"):
        kind.sample(patched, positive=positive)
    assert recording.runs == []


def unheard(kind, positive):
    """Why Decode has no maps of a sampling, which is the same as without the nodes."""
    patched, recording = kind.record()
    samples = kind.sample(patched, positive=positive)
    assert torch.equal(samples, kind.sample(positive=positive))
    with pytest.raises(ValueError) as error:
        decode(recording, samples)
    return str(error.value)


def test_a_positive_prompt_without_any_conditioning_is_called_so(kind):
    assert "none was recorded, since the sampler's positive prompt holds no conditioning at all" in unheard(kind, [])


def test_a_prompt_that_is_never_active_is_called_so(kind):
    later = changed(kind.prompts[0], start_percent=0.9999, end_percent=1.0)
    assert "since none of the positive conditionings was active in a step: widen their timestep ranges" in unheard(kind, later)


def test_where_no_conditioning_lies_all_concepts_share_alike(kind):
    patched, recording = kind.record(spaces="all")
    samples = kind.sample(patched, positive=changed(kind.prompts[0], mask=half_mask()))
    for space in ("output", "cross-attention", "value"):
        values = decode(recording, samples, space).values
        torch.testing.assert_close(values[..., :3], torch.full_like(values[..., :3], 1 / 3))
        assert values[..., 3:].std() > 0.001


@pytest.mark.parametrize("area", [(4, 6, 0, 0), (4, 6, 4, 6), (8, 4, 0, 8), (5, 7, 3, 2), (3, 3, 1, 9)])
def test_areas(kind, area):
    """Against loops over latent pixels, with the weights that ComfyUI gives an area, its soft edges included."""
    height, width, top, left = area
    first, second, _ = kind.prompts
    second = changed(second, strength=1.5)
    scores = heard(kind, first + changed(second, area=area))
    whole = heard(kind, first)
    of_area = heard(kind, second, [x[..., top : top + height, left : left + width] for x in LATENTS])
    weight = comfy.samplers.get_area_and_mult(
        {"area": area, "strength": 1.5, "model_conds": {}, "uuid": 0}, LATENTS[0], torch.tensor([0.5])
    ).mult[0, 0]
    expected = torch.zeros_like(whole)
    for row in range(4):
        for column in range(6):
            total, sum_of_weights = 0, 0
            for y in (2 * row, 2 * row + 1):
                for x in (2 * column, 2 * column + 1):
                    total, sum_of_weights = total + whole[..., row, column], sum_of_weights + 1
                    if top <= y < top + height and left <= x < left + width:
                        w = weight[y - top, x - left]
                        total = total + w * of_area[..., (y - top) // 2, (x - left) // 2]
                        sum_of_weights = sum_of_weights + w
            expected[..., row, column] = total / sum_of_weights
    assert_close(scores, expected)
    assert (scores - whole).abs().max() > 0.01 * whole.abs().max()


@pytest.mark.parametrize("cfg", [1.0, 4.5])
def test_the_picture_stays_the_same_with_areas_and_masks(kind, cfg):
    first, second, third = kind.prompts
    positive = first + changed(second, area=(5, 7, 3, 2), strength=2.0) + changed(third, mask=half_mask())
    patched, recording = kind.record()
    samples = kind.sample(patched, positive=positive, batch=2, cfg=cfg)
    assert torch.equal(samples, kind.sample(positive=positive, batch=2, cfg=cfg))
    assert decode(recording, samples).values.shape == (2, 3, 4, 6)


@pytest.mark.parametrize("dim", [0, 2, 3])
def test_context_windows_are_refused_where_they_are_used(kind, dim):
    windowed = ContextWindowsManualNode.execute(
        kind.model, 6 if dim else 2, 2 if dim else 1, "standard_static", 1, False, "pyramid", dim, False
    ).args[0]
    patched, recording = kind.record(windowed)
    with pytest.raises(ValueError, match="context windows, tiled sampling.*bypass the Apply node"):
        kind.sample(patched, batch=1 if dim else 3)
    assert recording.runs == []
    small = dict(size=(4, 4), batch=1)
    assert torch.equal(kind.sample(patched, **small), kind.sample(**small)) and len(recording.runs[0].steps) == 4


def test_tiled_sampling_is_refused(kind):
    tiled = kind.model.clone()

    def halves(apply_model, args):
        x = args["input"]
        return torch.cat([apply_model(half, args["timestep"], **args["c"]) for half in x.split(6, dim=-1)], dim=-1)

    tiled.set_model_unet_function_wrapper(halves)
    patched, recording = kind.record(tiled)
    with pytest.raises(ValueError, match="tiled sampling"):
        kind.sample(patched)


def test_another_model_in_the_same_guider_is_not_recorded(kind):
    """Autoguidance asks a weaker model first, with the same conditionings and options."""
    weaker = kind.load().model

    class Autoguidance(comfy.samplers.CFGGuider):
        def predict_noise(self, x, timestep, model_options={}, seed=None):
            positive = [self.conds["positive"]]
            weaker.current_patcher = self.model_patcher
            (weak,) = comfy.samplers.calc_cond_batch(weaker, positive, x, timestep, model_options)
            (strong,) = comfy.samplers.calc_cond_batch(self.inner_model, positive, x, timestep, model_options)
            return 2 * strong - weak

    with torch.no_grad():
        for parameter in weaker.parameters():
            parameter.mul_(0.5)
    patched, recording = kind.record()
    guider = Autoguidance(patched)
    guider.set_conds(kind.prompts[0], kind.prompts[1])
    guider.sample(LATENTS[0], 0 * LATENTS[0], comfy.samplers.sampler_object("euler"), torch.tensor([1.0, 0.0]))
    (step,) = recording.runs[0].steps.values()
    assert_close(step["output"].unflatten(-1, (4, 6)), heard(kind, kind.prompts[0], LATENTS[:1], [1.0])[0])


def test_reference_latents_are_not_part_of_the_picture(flux):
    """Kontext: they follow the picture's tokens."""
    reference = changed(flux.prompts[0], reference_latents=[torch.randn(1, 16, 6, 6), torch.randn(1, 16, 5, 8)])
    patched, recording = flux.record(spaces="all")
    samples = flux.sample(patched, positive=reference, cfg=2.0)
    assert torch.equal(samples, flux.sample(positive=reference, cfg=2.0))
    assert decode(recording, samples, "value").values.shape == (1, 3, 4, 6)


@pytest.mark.parametrize("in_front", [True, False])
def test_unknown_tokens_among_the_pictures_are_refused(flux, in_front):
    """Whoever adds tokens to the picture's may have put them in front of it."""
    other = flux.model.clone()

    def add_tokens(args):
        img, ids = args["img"], args["img_ids"]
        order = slice(None, None, 1 if in_front else -1)
        img, ids = (torch.cat((x[:, :5], x)[order], 1) for x in (img, ids))
        return {**args, "img": img, "img_ids": ids}

    other.set_model_patch(add_tokens, "post_input")
    patched, recording = flux.record(other)
    with pytest.raises(ValueError, match="there are 29 where the picture and its reference latents have 24"):
        flux.sample(patched)
