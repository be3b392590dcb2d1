"""Scenes of things, drawn from sprites that need no download."""

import numpy as np
import pytest
import things
from drawn_things import disc
from scenes import HELD_OUT, caption
from things import GROUNDS, draw_scene, visible

SEEDS = [*range(12), HELD_OUT]


@pytest.mark.parametrize("seed", SEEDS)
def test_masks_sum_to_one_and_are_of_what_is_visible(seed):
    scene = draw_scene(seed, 128, 192, sprite=disc)
    assert scene.picture.shape == (128, 192, 3) and scene.coverage.shape == (len(scene.things) + 1, 128, 192)
    assert np.allclose(scene.coverage.sum(0), 1, atol=1e-6) and scene.coverage.min() >= 0
    for thing, coverage in zip(scene.things, scene.coverage):
        whole = disc(thing.name, thing.side)
        assert 0.7 * whole[..., 3].sum() <= coverage.sum() <= whole[..., 3].sum() + 1e-3
        shown = scene.picture[coverage == 1]  # things in front may shade it: the hue stays
        assert np.allclose(shown, shown[:, 2:] * whole[0, 0, :3], atol=1e-6) and shown[:, 2].min() > 0.6
    assert np.allclose(scene.picture[scene.coverage[-2] == 1], disc(scene.things[-1].name, 64)[0, 0, :3], atol=1e-6)


def test_what_lies_behind_is_not_its_own():
    behind, front = np.zeros((1, 4)), np.zeros((1, 4))
    behind[0, :3], front[0, 2:] = 1, [0.5, 1]
    assert visible([behind, front]).tolist() == [[[1, 1, 0.5, 0]], [[0, 0, 0.5, 1]], [[0, 0, 0, 0]]]


def test_shadows_belong_to_the_ground():
    scene = draw_scene(2, sprite=disc)
    light = things._texture(scene.ground, _after_placing(2), 192, 192)
    ground = scene.coverage[-1] == 1
    darkened = (scene.picture < 0.8 * light).all(-1)
    assert (darkened & ground).sum() > 50
    assert (scene.picture <= light + 1e-6)[ground].all()


def _after_placing(seed):
    rng = np.random.default_rng(seed)
    rng.choice(GROUNDS)
    things._place(rng, 192, 192, 16, disc)
    return rng


def test_the_same_seed_draws_the_same_scene():
    first, again, other = (draw_scene(seed, sprite=disc) for seed in (5, 5, 6))
    assert first.things == again.things and np.array_equal(first.picture, again.picture)
    assert not np.array_equal(first.picture, other.picture)


@pytest.mark.parametrize("on_grid", [True, False])
def test_things_lie_on_the_grid_of_tokens_if_asked_to(on_grid):
    places = [(t.x % 16, t.y % 16, t.side % 16) for seed in SEEDS for t in draw_scene(seed, on_grid=on_grid, sprite=disc).things]
    assert (set(places) == {(0, 0, 0)}) == on_grid


def test_things_of_a_scene_differ_in_kind():
    for seed in SEEDS:
        names = [t.name for t in draw_scene(seed, sprite=disc).things]
        assert len(set(names)) == len(names)


def test_captions():
    assert caption(["apple"], "grass") == "an apple on grass"
    assert caption(["dragon", "pizza"], "sky") == "a dragon and a pizza in the sky"
    assert caption(["cat", "rocket", "tree"], "forest") == "a cat, a rocket and a tree in a forest"
    assert caption(["whale"], "night") == "a whale at night"
    scene = draw_scene(1, sprite=disc)
    assert all(f" {t.name}" in scene.caption for t in scene.things)
    assert np.array_equal(scene.area(scene.things[0].name), scene.coverage[0])


@pytest.mark.parametrize("ground", GROUNDS)
def test_grounds_have_a_texture_in_range(ground):
    texture = things._texture(ground, np.random.default_rng(0), 96, 128)
    assert texture.shape == (96, 128, 3) and texture.min() >= 0 and texture.max() <= 1
    assert 0.01 < texture.std((0, 1)).mean() < 0.3
