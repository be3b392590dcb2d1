"""Maps that follow the edges of their picture.

A map has one value for a patch of 16 x 16 pixels. On a grid of cells twice as fine, values spread to neighbours of
like colour (pixel-adaptive refinement: Araslanov and Roth, CVPR 2020, eq. 1 to 3); then the map is taken to pixels as
a local linear function of their colour (fast guided filter: He and Sun, 2015).
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

ROUNDS = 10
CONTRAST = 0.1  # of a neighbourhood's standard deviation: a difference that counts
WINDOW = 3  # cells, the guided filter's radius
EPSILON = 1e-4  # the guided filter's variance of colour that counts as flat


def follow_edges(values: Tensor, picture: Tensor, cell: int) -> Tensor:
    """[C, rows, columns] → [C, H, W], within each map's own range.

    values: maps on the cells of resize.grid(picture's size, cell). picture: [H, W, 3] in 0..1. cell: its side in pixels.
    """
    height, width = picture.shape[:2]
    rows, columns = values.shape[1:]
    pixels = pad(picture.movedim(-1, 0)[None], (0, columns * cell - width, 0, rows * cell - height), mode="replicate")[0]
    cells = avg_pool2d(pixels[None], cell)[0]
    result = values.new_empty(len(values), height, width)
    for out, value, *function in zip(result, values, *_linear_in_colour(spread_by_colour(values, cells), cells)):
        torch.clamp(_at_pixels(*function, pixels)[:height, :width], value.min(), value.max(), out=out)
    return result


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
    neighbours = torch.stack(_neighbours(cells))
    difference = (neighbours - cells).abs() / (CONTRAST * neighbours.std(0) + 1e-8)
    return (-difference.mean(1)).softmax(0)


def _neighbours(values):
    """The grid shifted to each of eight neighbours, its border repeated."""
    height, width = values.shape[1:]
    padded = pad(values[None], (1, 1, 1, 1), mode="replicate")[0]
    return [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3) if (y, x) != (1, 1)]


def _linear_in_colour(values, cells):
    """slope [C, 3, h, w] and offset [C, h, w]: value = slope · colour + offset fits best in each window, windows averaged."""
    mean_colour, mean_value = _window_mean(cells), _window_mean(values)
    variance = _window_mean((cells[:, None] * cells).flatten(0, 1)).unflatten(0, (3, 3)) - mean_colour[:, None] * mean_colour
    covariance = _window_mean((values[:, None] * cells).flatten(0, 1)).unflatten(0, (-1, 3)) - mean_value[:, None] * mean_colour
    flat = EPSILON * torch.eye(3)[..., None, None]
    slope = torch.linalg.solve((variance + flat).permute(2, 3, 0, 1), covariance.permute(2, 3, 1, 0)).permute(3, 2, 0, 1)
    offset = mean_value - (slope * mean_colour).sum(1)
    return _window_mean(slope.flatten(0, 1)).unflatten(0, (-1, 3)), _window_mean(offset)


def _at_pixels(slope, offset, pixels):
    """[3, h, w] and [h, w] → the linear function of each pixel's colour, [H, W]."""
    function = interpolate(torch.cat([slope, offset[None]])[None], size=pixels.shape[1:], mode="bilinear")[0]
    for slope, colour in zip(function, pixels):
        function[3].addcmul_(slope, colour)
    return function[3]


def _window_mean(values):
    """[N, h, w], the mean over a square window, or the part of it within the picture."""
    side = 2 * WINDOW + 1
    for window, padding in (((1, side), (0, WINDOW)), ((side, 1), (WINDOW, 0))):
        values = avg_pool2d(values[None], window, stride=1, padding=padding, count_include_pad=False)[0]
    return values
