"""The pieces of Python in docs/numbers.md, run as they stand there."""

import re
import runpy
from pathlib import Path

NUMBERS = Path(__file__).parents[1] / "docs" / "numbers.md"
FILE = r"\w+_00001_.safetensors"


def in_python(reads: str, file: Path):
    """What the piece that reads that tensor leaves in `maps`, for another file."""
    pieces = re.findall(r"```python\n(.*?)```", NUMBERS.read_text(encoding="utf-8"), re.DOTALL)
    (piece,) = [piece for piece in pieces if f'"{reads}"' in piece]
    script = file.with_suffix(".py")
    script.write_text(re.sub(FILE, file.as_posix(), piece), encoding="utf-8")
    return runpy.run_path(str(script))["maps"]
