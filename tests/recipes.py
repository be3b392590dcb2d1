"""The pieces of Python in README.md, run as they stand there."""

import re
import runpy
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
FILE = "recording_00001_.safetensors"


def by_readme(reads: str, file: Path):
    """What the piece that reads that tensor leaves in `maps`, for another file."""
    pieces = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (piece,) = [piece for piece in pieces if f'"{reads}"' in piece]
    assert FILE in piece
    script = file.with_suffix(".py")
    script.write_text(piece.replace(FILE, file.as_posix()), encoding="utf-8")
    return runpy.run_path(str(script))["maps"]
