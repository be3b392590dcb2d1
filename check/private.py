"""Texts for a report that others read: nothing in them tells where on whose machine it was written."""

import os
import re
import tempfile
from pathlib import Path

# What stands before a file's name: /a/b/, C:\\a\\b\\, \\\\server\\a\\, ~/a/. An address such as https://a/b is none.
FOLDERS = re.compile(r"(?<![\w:/\\.])(?:[A-Za-z]:[\\/]+|\\\\|~?/)(?:[^\s'\"<>|:*?\\/]+[\\/]+)+")
# A user's folder, whose name may hold spaces where more of the path follows.
HOMES = re.compile(r"(?:[A-Za-z]:)?[\\/]+(?:[Uu]sers|home)[\\/]+(?:[^\\/'\"<>|:*?\n]+(?=[\\/])|[^\s\\/'\"<>|:*?]+)")


def without_folders(text: str, known: tuple[str, ...] = ()) -> str:
    """Files are left with their names alone. known: folders that may have spaces in their names; the user's and Python's are known."""
    places = {*known, str(Path.home()), os.getcwd(), tempfile.gettempdir(), os.path.dirname(os.__file__)}
    for place in sorted(filter(None, places), key=len, reverse=True):
        for written in {place, place.replace("\\", "/"), place.replace("\\", "\\\\"), os.path.realpath(place)}:
            text = re.sub(re.escape(written) + r"(?=[\\/]|\b)", "/-", text) if len(written) > 1 else text
    return FOLDERS.sub("", HOMES.sub("/-", text))
