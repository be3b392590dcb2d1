"""What a run has done so far: a line of JSON for each picture, as soon as it is there, and files beside them."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

Row = tuple[dict, dict[str, bytes]]  # a line, and what files hold, by their paths within the folder


def claim(out: Path, about: dict):
    """The folder of the results is this run's: new, without any result yet, or gone on with. about: what makes the results."""
    stamp, about = out / "run.json", json.loads(json.dumps(about))  # as it is read again
    out.mkdir(parents=True, exist_ok=True)
    if stamp.is_file() and any(rows_of(out)):
        before = json.loads(stamp.read_text(encoding="utf-8"))
        differing = [
            f"{part}.{key}" for part in about for key in {**before[part], **about[part]} if before[part].get(key) != about[part].get(key)
        ]
        if differing:
            raise ValueError(f"{out} holds another run ({', '.join(differing)} differ): choose another --out, or remove it.")
    write_whole(stamp, (json.dumps(about, indent=1) + "\n").encode())


def keep(rows: Iterable[Row], out: Path, done: int, total: int):
    """Files first, each whole or not at all, then the line that says that they are there. A bar counts the lines."""
    from tqdm import tqdm

    quiet = 0.5 if sys.stderr.isatty() else 20
    with (
        open(out / f"part-{time.time_ns()}.jsonl", "a", encoding="utf-8") as sink,
        tqdm(total=total, initial=done, unit="picture", mininterval=quiet) as bar,
    ):
        for row, files in rows:
            for name, content in files.items():
                write_whole(out / name, content)
            sink.write(json.dumps(row) + "\n")
            sink.flush()
            os.fsync(sink.fileno())
            bar.update()


def rows_of(out: Path) -> Iterator[dict]:
    """One after the other; a line that was cut short does not count."""
    for part in sorted(out.glob("part-*.jsonl")):
        with open(part, encoding="utf-8") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    continue


def write_whole(path: Path, content: bytes):
    """A file that is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)
