"""Sprites that need no download: for each thing a disc in a colour of its own."""

import numpy as np
from things import THINGS


def disc(name, size):
    """[size, size · 3 / 4, 4]"""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 3 // 4 * 1j]
    number = THINGS.index(name)
    colour = np.array([number % 4, number // 4 % 4, 3]) / 3
    alpha = np.clip((1 - np.hypot(x, y)) * size / 4, 0, 1)
    return np.concatenate((np.broadcast_to(colour, (*alpha.shape, 3)), alpha[..., None]), -1)
