"""A part of the sampling schedule, from 0, its start, to 1."""


def check_window(start_percent: float, end_percent: float):
    """ValueError unless the start lies before the end."""
    if start_percent >= end_percent:
        raise ValueError(f"start_percent ({start_percent:g}) must be below end_percent ({end_percent:g}).")
