import pytest
import torch
from concept_attention.concept_core.masks.thresholds import above_mean, otsu, soft, two_levels
from skimage.filters import threshold_otsu

GENERATOR = torch.Generator().manual_seed(0)


def bell(mean, spread, count):
    return mean + spread * torch.randn(count, generator=GENERATOR)


TWO = torch.cat([bell(0.2, 0.05, 7000), bell(0.8, 0.08, 3000)]).reshape(100, 100)
SMALL = torch.cat([bell(0.1, 0.03, 9900), bell(0.9, 0.03, 100)]).reshape(100, 100)
ONE = {
    "bell": bell(0.5, 0.1, 10000).reshape(100, 100),
    "flat": torch.rand(100, 100, generator=GENERATOR),
    "ramp": torch.linspace(0, 1, 10000).reshape(100, 100),
    "decay": torch.empty(100, 100).exponential_(generator=GENERATOR) / 10,
    "blurred noise": torch.nn.functional.avg_pool2d(torch.rand(1, 1, 104, 104, generator=GENERATOR), 5, 1)[0, 0],
    "constant": torch.full((100, 100), 0.7),
    "rounding": torch.full((100, 100), 0.7) + 6e-8 * torch.randint(0, 2, (100, 100), generator=GENERATOR),
}


@pytest.mark.parametrize("values", [TWO, SMALL, 30 * TWO - 500, *list(ONE.values())[:5]])
def test_otsus_threshold_is_scikit_images(values):
    """Which gives the middle of the last bin below; this one its end."""
    bin_width = (values.max() - values.min()).item() / 256
    assert two_levels(values).threshold == pytest.approx(threshold_otsu(values.double().numpy(), 256) + bin_width / 2, abs=bin_width / 100)


def test_two_modes_are_parted():
    levels = two_levels(TWO)
    assert (levels.low, levels.high) == pytest.approx((0.2, 0.8), abs=0.01)
    assert levels.separation == pytest.approx(0.6 / ((0.05**2 + 0.08**2) / 2) ** 0.5, rel=0.03)
    assert otsu(TWO, True).mean().item() == pytest.approx(0.3, abs=0.002)
    assert otsu(SMALL, True).mean().item() == pytest.approx(0.01, abs=0.0005)


@pytest.mark.parametrize("name", ONE)
def test_one_mode_is_not_cut_in_two(name):
    assert otsu(ONE[name], True) is None and otsu(ONE[name], False) is None
    assert soft(ONE[name], False) is None


def test_soft_is_one_in_the_core_and_zero_in_the_background():
    mask = soft(TWO, True)
    background, core = mask.flatten()[:7000], mask.flatten()[7000:]
    assert background.eq(0).float().mean() > 0.99 and core.eq(1).float().mean() > 0.9
    assert core.mean() > 0.97 and mask.min() == 0 and mask.max() == 1
    assert torch.equal(soft(TWO - 3, False).round(), mask.round())  # raw scores may be negative


def test_soft_is_even_across_an_edge():
    """A map that falls from 1 to 0 around x = 0.5 is a ramp with its middle there."""
    x = torch.linspace(0, 1, 1001).expand(3, -1)
    mask = soft(((0.6 - x) / 0.2).clamp(0, 1), True)
    assert mask[0, 500].item() == pytest.approx(0.5, abs=0.02)
    assert mask[0, :430].eq(1).all() and mask[0, 570:].eq(0).all()
    assert mask[0].diff().max() <= 0


def test_soft_does_not_stretch_shares_of_one_mode():
    for name in ("bell", "flat", "ramp"):
        torch.testing.assert_close(soft(ONE[name], True), (2 * ONE[name] - 0.5).clamp(0, 1))
    assert soft(0.3 * ONE["ramp"], True) is None  # nowhere a half
    gradient_and_thing = 0.3 * ONE["ramp"].clone()
    gradient_and_thing[40:47, 40:47] = 0.95
    mask = soft(gradient_and_thing, True)
    assert mask[40:47, 40:47].eq(1).all() and mask.eq(1).sum() == 49 and mask.mean() < 0.03


def test_shares_of_one_level_are_all_in_or_all_out():
    assert soft(0.9 + 0.02 * torch.rand(20, 20), True).eq(1).all()
    assert soft(torch.full((20, 20), 0.9), True).eq(1).all()
    assert soft(0.3 + 0.02 * torch.rand(20, 20), True) is None


def test_above_the_mean():
    assert torch.equal(above_mean(torch.tensor([[0.0, 1, 2], [3, 4, 8]]), True), torch.tensor([[0.0, 0, 0], [0, 1, 1]]))
    assert above_mean(torch.full((2, 3), 0.1), True) is None
