"""Live maps as masks: what one step has heard, calibrated, shaped, and empty where a concept is not found."""

import math

import pytest
import torch
from concept_attention.concept_core.concepts.concepts import Concepts
from concept_attention.concept_core.maps.decode import decode, shares_of
from concept_attention.concept_core.recording.recipe import Recipe
from concept_attention.concept_core.recording.recording import Recording, Run
from concept_attention.concept_core.steer.live import Shape, check_steerable, live_maps, live_mask

GRID = (8, 8)
SIZE = (16, 16)


def recording_of(names=("circle", "sky", "sea"), **options):
    count = len(names)
    concepts = Concepts(tuple(names), count, "t5", torch.zeros(count, 4), torch.eye(count))
    return Recording(concepts, ("output",), 4, range(2, 4), 16, **options)


def run_of(batch):
    return Run(batch, (1, *SIZE), (1, *GRID), (128, 128), lambda percent: 1 - percent)


def heard(inside=5.0, present=(True, True)):
    """Scores [blocks, B, C, N]: the first concept lies in rows 2 to 5 and columns 0 to 3 of each picture that it is in."""
    scores = torch.zeros(4, len(present), 3, *GRID)
    scores[:, :, 1] = 3.0
    for place, there in enumerate(present):
        if there:
            scores[2:, place, 0, 2:6, :4] = 3.0 + inside
    scores[:2, :, 2] = 100.0  # blocks that do not count
    return {"output": scores.flatten(3)}


def test_one_in_the_core_and_zero_far_away():
    recording, run = recording_of(), run_of(2)
    mask, found = live_mask(live_maps(recording, run, heard()), "circle", SIZE)
    assert mask.shape == (2, 16, 16) and found == [True, True]
    assert (mask[:, 6:10, 2:6] == 1).all() and (mask[:, :, 12:] == 0).all() and (mask[:, :2] == 0).all()
    assert ((mask > 0) & (mask < 1)).any()


def test_shares_are_those_that_decode_gives_of_that_step_alone():
    recording, run = recording_of(), run_of(2)
    step = {"output": torch.randn(4, 2, 3, 64, generator=torch.Generator().manual_seed(0))}
    run.steps[0.5], samples = step, torch.randn(2, 4, *SIZE)
    run.latents.append(samples)
    recording.keep(run)
    for recipe in (Recipe(), Recipe(mean_first=True), Recipe(temperature=0.0), Recipe(mean_first=True, temperature=500.0)):
        recording.recipe = recipe
        assert torch.equal(shares_of(recording, step).unflatten(2, GRID), decode(recording, samples).values)
    assert torch.equal(shares_of(recording, step, [1]), shares_of(recording, step)[1:])


def test_a_concept_that_is_not_there_has_no_mask_in_that_picture_even_inverted():
    maps = live_maps(recording_of(), run_of(2), heard(present=(True, False)))
    for shape in (Shape(), Shape(invert=True), Shape(softness=32, grow=16)):
        mask, found = live_mask(maps, "circle", SIZE, shape)
        assert found == [True, False] and mask[0].any() and not mask[1].any()


def test_what_is_grey_everywhere_has_no_mask():
    maps = live_maps(recording_of(), run_of(1), {"output": torch.zeros(4, 1, 3, 64)})
    mask, found = live_mask(maps, "circle", SIZE)
    assert not mask.any() and found == [False]


def test_joined_concepts_count_together():
    maps = live_maps(recording_of(), run_of(1), heard(present=(True,)))
    joined, _ = live_mask(maps, "circle + sea", SIZE)
    assert joined[0, 8, 4] == 1 and joined[0, 8, 14] == 0


def test_what_is_taken_away_is_not_in_the_mask():
    maps = live_maps(recording_of(), run_of(1), heard(present=(True,)))
    check_steerable(recording_of(), "circle - sky")
    less, found = live_mask(maps, "circle + sky - sky", SIZE)
    torch.testing.assert_close(less, live_mask(maps, "circle", SIZE)[0], atol=1e-4, rtol=0)
    nothing, nowhere = live_mask(maps, "circle - circle", SIZE)
    assert found == [True] and nowhere == [False] and not nothing.any()


def test_grow_and_softness_are_in_pixels_of_the_picture():
    """A pixel of the latent is eight of the picture: grown by 16 it reaches two further, and fades over two more."""
    maps = live_maps(recording_of(), run_of(1), heard(present=(True,)))
    plain, grown, soft = (live_mask(maps, "circle", SIZE, shape)[0][0] for shape in (Shape(), Shape(grow=16), Shape(softness=32)))
    reach = [int((mask[8] >= 0.99).sum()) for mask in (plain, grown)]
    assert reach[1] - reach[0] == 2
    assert (soft >= plain - 1e-6).all() and soft[8].gt(0).sum() > plain[8].gt(0).sum()
    inverted = live_mask(maps, "circle", SIZE, Shape(grow=16, invert=True))[0][0]
    torch.testing.assert_close(inverted, 1 - grown)


def test_numbers_that_overflowed_are_refused():
    step = heard()
    step["output"][2, 0, 0, 5] = math.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        live_maps(recording_of(), run_of(2), step)


def test_what_cannot_be_steered_by_is_refused():
    with pytest.raises(ValueError, match="only concept and has nothing to compete with"):
        check_steerable(recording_of(("circle",)), "circle")
    with pytest.raises(ValueError, match="There is no concept 'star'. There are: circle, sky, sea"):
        check_steerable(recording_of(), "star")
    with pytest.raises(ValueError, match="There is no concept"):
        check_steerable(recording_of(), "circle, sky")
    with pytest.raises(ValueError, match="prompt words.*too late to steer"):
        check_steerable(recording_of(summed=True), "circle")
    check_steerable(recording_of(), "Circle + sky")
