"""Squares that cover a picture or a latent."""


def grid(size: tuple[int, int], cell: int) -> tuple[int, int]:
    """(rows, columns) of cells that cover (height, width); the last ones may reach beyond its edge."""
    return -(-size[0] // cell), -(-size[1] // cell)
