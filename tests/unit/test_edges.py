import pytest
import torch
from concept_attention.concept_core.maps.resize import grid
from concept_attention.concept_core.masks import edges
from concept_attention.concept_core.masks.edges import follow_edges, spread_by_colour
from kornia.filters import guided_blur
from torch.nn.functional import avg_pool2d, interpolate, pad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GENERATOR = torch.Generator().manual_seed(0)


def smooth_noise(channels, height, width):
    noise = torch.rand(1, channels, height // 4 + 1, width // 4 + 1, generator=GENERATOR)
    return torch.nn.functional.interpolate(noise, size=(height, width), mode="bicubic")[0].clamp(0, 1)


def blurred_step(width, at, height=32):
    """A map that falls from 1 to 0 over 16 pixels around `at`."""
    return ((at + 8 - torch.arange(width) - 0.5) / 16).clamp(0, 1).expand(1, height, width)


def two_colours(width, at, height=32, noise=0.0):
    left = (torch.arange(width) < at)[None, :, None]
    picture = torch.where(left, torch.tensor([0.8, 0.2, 0.1]), torch.tensor([0.3, 0.5, 0.2])).expand(height, width, 3)
    return (picture + noise * torch.randn(height, width, 3, generator=GENERATOR)).clamp(0, 1)


@pytest.mark.parametrize("cell", [4, 8])
@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("off", [-8, -4, 0, 4, 8])
def test_a_map_moves_to_the_pictures_edge(off, noise, cell):
    picture = two_colours(96, 50, noise=noise)
    values = torch.nn.functional.avg_pool2d(blurred_step(96, 50 + off)[None], cell)[0]
    followed = follow_edges(values, picture, cell)[0]
    crossing = (followed >= 0.5).sum(1).float()
    assert (crossing - 50).abs().max() <= (0 if noise == 0 else 2)


def test_without_an_edge_in_the_picture_a_map_stays_smooth_and_in_place():
    values = torch.nn.functional.avg_pool2d(blurred_step(96, 50)[None], 4)[0]
    followed = follow_edges(values, torch.full((32, 96, 3), 0.4), 4)[0]
    assert (followed >= 0.5).sum(1).float().sub(50).abs().max() <= 2
    assert followed.diff(dim=1).max() <= 1e-6  # still falling


def test_the_local_linear_function_is_the_guided_filter():
    picture, values = smooth_noise(3, 48, 60), smooth_noise(2, 48, 60)
    slope, offset = edges._linear_in_colour(values, picture)
    ours = torch.stack([edges._at_pixels(a, b, picture) for a, b in zip(slope, offset)])
    theirs = guided_blur(picture[None], values[None], 2 * edges.WINDOW + 1, edges.EPSILON)[0]
    inside = slice(2 * edges.WINDOW, -2 * edges.WINDOW)  # at the border kornia mirrors
    torch.testing.assert_close(ours[:, inside, inside], theirs[:, inside, inside], atol=2e-4, rtol=0)


def test_spreading_is_a_mean_over_neighbours_of_like_colour():
    """One round on a picture of two colours: values mix within each colour and hardly across."""
    picture = two_colours(12, 6, height=12).movedim(-1, 0)
    weights = edges._likeness(picture)
    assert weights.shape == (8, 12, 12)
    torch.testing.assert_close(weights.sum(0), torch.ones(12, 12))
    columns = torch.arange(12.0).expand(1, 12, 12)
    across = sum(w * ((n >= 6) != (columns >= 6)) for w, n in zip(weights, edges._neighbours(columns)))
    assert across.max() < 0.01
    constant = torch.full((3, 12, 12), 0.3)
    torch.testing.assert_close(spread_by_colour(constant, picture), constant)


@pytest.mark.parametrize("turn", [lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.transpose(-1, -2)], ids=["x", "y", "transposed"])
def test_no_direction_is_favoured(turn):
    picture, values = smooth_noise(3, 40, 56), smooth_noise(2, 10, 14)
    straight = turn(follow_edges(values, picture.movedim(0, -1), 4))
    turned = follow_edges(turn(values), turn(picture).movedim(0, -1), 4)
    torch.testing.assert_close(straight, turned, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(8, 8), (16, 264), (33, 57), (250, 130)])
@pytest.mark.parametrize("cell", [1, 4, 7])
def test_any_size_within_the_maps_range(size, cell):
    values = smooth_noise(3, *grid(size, cell)) - 5
    followed = follow_edges(values, torch.rand(*size, 3, generator=GENERATOR), cell)
    assert followed.shape == (3, *size) and followed.isfinite().all()
    assert (followed.amax((1, 2)) <= values.amax((1, 2))).all() and (followed.amin((1, 2)) >= values.amin((1, 2))).all()


def by_the_formulas(values, picture, cell):
    """The whole picture at once in float64, with PyTorch's own solver."""
    values, picture, (height, width) = values.double(), picture.double(), picture.shape[:2]
    beyond = [side * cell - pixels for side, pixels in zip(values.shape[1:], (height, width))]
    pixels = pad(picture.movedim(-1, 0)[None], (0, beyond[1], 0, beyond[0]), mode="replicate")
    cells = avg_pool2d(pixels, cell)[0]
    around = torch.stack(edges._neighbours(cells))
    weights = (-((around - cells).abs() / (0.1 * around.std(0) + 1e-8)).mean(1)).softmax(0)
    spread = values
    for _ in range(10):
        spread = sum(weight * neighbour for weight, neighbour in zip(weights, edges._neighbours(spread)))

    def mean(x):
        return avg_pool2d(x.flatten(0, -3)[None], 7, 1, 3, count_include_pad=False)[0].reshape(x.shape)

    variance = mean(cells[:, None] * cells) - mean(cells)[:, None] * mean(cells) + 1e-4 * torch.eye(3).double()[..., None, None]
    covariance = mean(spread[:, None] * cells) - mean(spread)[:, None] * mean(cells)
    slope = torch.linalg.solve(variance.permute(2, 3, 0, 1), covariance.permute(2, 3, 1, 0)).permute(3, 2, 0, 1)
    offset = mean(spread) - (slope * mean(cells)).sum(1)
    slope, offset = (interpolate(mean(x).flatten(0, -3)[None], scale_factor=cell, mode="bilinear")[0] for x in (slope, offset))
    followed = (slope.unflatten(0, (-1, 3)) * pixels[0]).sum(1) + offset
    return followed.clamp(values.amin((1, 2), True), values.amax((1, 2), True))[:, :height, :width].float()


@pytest.mark.parametrize(("size", "cell"), [((60, 75), 1), ((61, 118), 2), ((95, 83), 3), ((250, 130), 8), ((8, 9), 4)])
@pytest.mark.parametrize("side", [11, 20, 384])
def test_tiles_of_any_side_give_what_the_formulas_give_for_the_whole(monkeypatch, side, size, cell):
    monkeypatch.setattr(edges, "TILE_CELLS", side)
    values, picture = smooth_noise(2, *grid(size, cell)), smooth_noise(3, *size).movedim(0, -1)
    picture = (picture + 0.02 * torch.randn(*size, 3, generator=GENERATOR)).clamp(0, 1)
    torch.testing.assert_close(follow_edges(values, picture, cell), by_the_formulas(values, picture, cell), atol=2e-4, rtol=0)


class Numbers(TorchDispatchMode):
    """Counts the numbers that operations give: all of them, and the most that a single one gives."""

    def __init__(self):
        super().__init__()
        self.total = self.most = 0

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        given = operation(*arguments, **(named or {}))
        if not operation.is_view:
            counts = [leaf.numel() for leaf in tree_leaves(given) if isinstance(leaf, torch.Tensor)]
            self.total, self.most = self.total + sum(counts), max(self.most, *counts)
        return given


@pytest.mark.parametrize("cell", [1, 2])
def test_small_cells_take_what_a_tile_takes_however_large_the_picture(monkeypatch, cell):
    """With cells of a pixel the whole picture at once would give 24 numbers for each: its colours' differences from eight neighbours."""
    counted, follow = [], edges._follow_in_tile

    def follow_and_count(*arguments):
        with Numbers() as numbers:
            follow(*arguments)
        counted.append(numbers)

    monkeypatch.setattr(edges, "_follow_in_tile", follow_and_count)
    follow_edges(smooth_noise(1, *grid((700, 900), cell)), smooth_noise(3, 700, 900).movedim(0, -1), cell)
    most = max(8 * (edges.TILE_CELLS + 2 * edges.REACH) ** 2, 4 * (cell * (edges.TILE_CELLS + 2)) ** 2)
    assert len(counted) == {1: 12, 2: 4}[cell] and max(numbers.most for numbers in counted) <= most
    assert sum(numbers.total for numbers in counted) <= 1100 * 700 * 900 / cell**2 + 60 * 700 * 900


def test_tiles_run_in_a_thread_each_and_leave_the_number_of_threads(monkeypatch):
    """A thread that computes a tile shares no operation with others; inference mode goes with it."""
    seen, follow, before = [], edges._follow_in_tile, torch.get_num_threads()
    monkeypatch.setattr(edges, "TILE_CELLS", 20)
    monkeypatch.setattr(
        edges, "_follow_in_tile", lambda *them: seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled())) or follow(*them)
    )
    values, picture = smooth_noise(2, 50, 60), smooth_noise(3, 50, 60).movedim(0, -1)
    plain = follow_edges(values, picture, 1)
    with torch.inference_mode():
        assert torch.equal(follow_edges(values.clone(), picture.clone(), 1), plain)
    assert seen == 9 * [(1, False)] + 9 * [(1, True)] and torch.get_num_threads() == before
