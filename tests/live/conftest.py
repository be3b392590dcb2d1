from live_server import live  # noqa: F401
