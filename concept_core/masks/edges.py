"""Maps that follow the edges of their picture.

A map has one value for a patch of 16 x 16 pixels. On a grid of finer cells, values spread to neighbours of like colour
(pixel-adaptive refinement: Araslanov and Roth, CVPR 2020, eq. 1 to 3); then the map is taken to pixels as a local linear
function of their colour (fast guided filter: He and Sun, 2015). Tile by tile: cells may be as small as pixels.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

ROUNDS = 10
CONTRAST = 0.1  # of a neighbourhood's standard deviation: a difference that counts
WINDOW = 3  # cells, the guided filter's radius
EPSILON = 1e-4  # the guided filter's variance of colour that counts as flat
REACH = ROUNDS + 2 * WINDOW + 1  # cells around a pixel's own that its value depends on
TILE_CELLS, TILE_PIXELS = 256, 1024  # along a side, the most of a tile: its numbers stay in a processor's cache
TILES_AT_ONCE = 4
PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # of three colours


def follow_edges(values: Tensor, picture: Tensor, cell: int) -> Tensor:
    """[C, rows, columns] → [C, H, W], within each map's own range.

    values: maps on the cells of resize.grid(picture's size, cell). picture: [H, W, 3] in 0..1. cell: its side in pixels.
    """
    result = values.new_empty(len(values), *picture.shape[:2])
    ranges = list(zip(values.amin((1, 2)), values.amax((1, 2))))
    _beside_one_another(lambda tile: _follow_in_tile(result, values, ranges, picture, cell, tile), _tiles(values.shape[1:], cell))
    return result


def _beside_one_another(work, tiles):
    """Each tile in one thread: threads that share every one of its small operations wait for one another longer than they compute."""
    inference, threads = torch.is_inference_mode_enabled(), torch.get_num_threads()

    def by_itself(tile):
        with torch.inference_mode(inference):
            work(tile)

    try:
        with ThreadPoolExecutor(min(TILES_AT_ONCE, threads), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(by_itself, tiles))
    finally:
        torch.set_num_threads(threads)


def _follow_in_tile(result, values, ranges, picture, cell, tile):
    grid = values.shape[1:]
    near, seen = _around(tile, REACH, grid), _around(tile, 1, grid)
    pixels = _pixels(picture, _scaled(near, cell))
    cells = avg_pool2d(pixels[None], cell)[0]
    functions = _linear_in_colour(spread_by_colour(_cut(values, near), cells), cells)
    functions = [_cut(part, _within(seen, near)) for part in functions]
    pixels = _cut(pixels, _scaled(_within(seen, near), cell))
    for out, limits, *function in zip(_cut(result, _scaled(tile, cell)), ranges, *functions):
        value = _cut(_at_pixels(*function, pixels), _scaled(_within(tile, seen), cell))
        torch.clamp(value[: out.shape[0], : out.shape[1]], *limits, out=out)


def spread_by_colour(values: Tensor, cells: Tensor) -> Tensor:
    """[C, h, w]: each cell's value becomes the mean over its eight neighbours, weighted by likeness of colour, ROUNDS times."""
    weights = _likeness(cells)
    for _ in range(ROUNDS):
        spread = torch.zeros_like(values)
        for weight, neighbour in zip(weights, _neighbours(values)):
            spread.addcmul_(weight, neighbour)
        values = spread
    return values


def _likeness(cells):
    """[8, h, w], positive with sum 1 over the neighbours."""
    neighbours = _neighbours(cells)
    mean, variance, difference = sum(neighbours) / 8, torch.zeros_like(cells), torch.empty_like(cells)
    for neighbour in neighbours:
        torch.sub(neighbour, mean, out=difference)
        variance.addcmul_(difference, difference, value=1 / 7)
    scale = -1 / len(cells) / (CONTRAST * variance.sqrt_() + 1e-8)
    result = cells.new_empty(8, *cells.shape[1:])
    for out, neighbour in zip(result, neighbours):
        torch.sum(torch.sub(neighbour, cells, out=difference).abs_().mul_(scale), 0, out=out)
    return result.softmax(0)


def _neighbours(values):
    """The grid shifted to each of eight neighbours, its border repeated."""
    height, width = values.shape[1:]
    padded = pad(values[None], (1, 1, 1, 1), mode="replicate")[0]
    return [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)]


def _linear_in_colour(values, cells):
    """slope [C, 3, h, w] and offset [C, h, w]: value = slope · colour + offset fits best in each window, windows averaged."""
    mean_colour, mean_value = _window_mean(cells), _window_mean(values)
    variance = _window_mean(torch.stack([cells[one] * cells[other] for one, other in PAIRS]))
    for product_of_two, (one, other) in zip(variance, PAIRS):
        product_of_two.addcmul_(mean_colour[one], mean_colour[other], value=-1).add_(EPSILON * (one == other))
    covariance = _window_mean((values[:, None] * cells).flatten(0, 1)).unflatten(0, (-1, 3)) - mean_value[:, None] * mean_colour
    slope = _solved(variance, covariance)
    offset = mean_value - (slope * mean_colour).sum(1)
    return _window_mean(slope.flatten(0, 1)).unflatten(0, (-1, 3)), _window_mean(offset)


def _solved(variance, covariance):
    """slope [C, 3, h, w] with variance · slope = covariance, by L·D·Lᵀ; variance: [6, h, w], the PAIRS of a symmetric matrix.

    PyTorch's own takes twenty times as long over many small systems.
    """
    rr, rg, rb, gg, gb, bb = variance
    r, g, b = covariance.unbind(1)
    g_r, b_r = rg / rr, rb / rr
    gg, gb = gg - g_r * rg, gb - b_r * rg
    b_g = gb / gg
    g = g - g_r * r
    b = (b - b_r * r - b_g * g) / (bb - b_r * rb - b_g * gb)
    g = g / gg - b_g * b
    return torch.stack([r / rr - g_r * g - b_r * b, g, b], 1)


def _at_pixels(slope, offset, pixels):
    """[3, h, w] and [h, w] → the linear function of each pixel's colour, [H, W]."""
    function = interpolate(torch.cat([slope, offset[None]])[None], size=pixels.shape[1:], mode="bilinear")[0]
    for slope, colour in zip(function, pixels):
        function[3].addcmul_(slope, colour)
    return function[3]


def _window_mean(values):
    """[N, h, w], the mean over a square window, or the part of it within the picture."""
    for axis, line in ((2, values[:1, :1]), (1, values[:1, :, :1])):
        values = _window_sum(values, axis).div_(_window_sum(torch.ones_like(line), axis))
    return values


def _window_sum(values, axis):
    total, count = values.clone(), values.shape[axis]
    for shift in range(1, min(WINDOW, count - 1) + 1):
        rest = count - shift
        total.narrow(axis, shift, rest).add_(values.narrow(axis, 0, rest))
        total.narrow(axis, 0, rest).add_(values.narrow(axis, shift, rest))
    return total


def _tiles(grid, cell):
    """Boxes of cells, (rows, columns), that together are the grid."""
    side = max(1, min(TILE_CELLS, TILE_PIXELS // cell))
    return product(*([slice(start, min(start + side, count)) for start in range(0, count, side)] for count in grid))


def _around(box, margin, grid):
    """The box and so many cells around it, as far as there are any."""
    return tuple(slice(max(0, side.start - margin), min(count, side.stop + margin)) for side, count in zip(box, grid))


def _within(box, outer):
    """The box, counted from where the outer one begins."""
    return tuple(slice(side.start - start.start, side.stop - start.start) for side, start in zip(box, outer))


def _scaled(box, cell):
    return tuple(slice(side.start * cell, side.stop * cell) for side in box)


def _cut(values, box):
    return values[(..., box[0], box[1])]


def _pixels(picture, box):
    """[3, rows, columns] of the box, the picture's last row and column repeated where it reaches beyond."""
    pixels = picture[box].movedim(-1, 0)
    right, below = box[1].stop - picture.shape[1], box[0].stop - picture.shape[0]
    return pad(pixels[None], (0, max(0, right), 0, max(0, below)), mode="replicate")[0]
