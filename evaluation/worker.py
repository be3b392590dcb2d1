"""A share of the pictures, one after the other; each one's figures go to a line of JSON as soon as they are there."""

import json
import os
from pathlib import Path

from .judging import Judge
from .presets import variants_of
from .sheets import Strip


def work(judge: Judge, depth: int, job, indices: list[int], part: Path):
    """Judge the pictures at these places in the data set; the first job.sheets of all leave a strip for the contact sheets."""
    variants = variants_of(job.protocol, job.ablation, depth)
    with open(part, "a", encoding="utf-8") as sink:
        for index in indices:
            sample = judge.data.read(index)
            strip = Strip(sample, judge.data.classes) if index < job.sheets else None
            results = judge.judge(sample, variants, strip.look if strip else lambda *args: None)
            if strip:
                strip.save(job.out / "strips" / f"{index:06}.png")
            sink.write(json.dumps({"id": sample.id, "variants": results}) + "\n")
            sink.flush()
            os.fsync(sink.fileno())


def finished(out: Path) -> dict[str, dict]:
    """Id → results of all pictures that are done; a line that was cut short does not count."""
    done = {}
    for part in sorted(out.glob("part-*.jsonl")):
        for line in part.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            done[row["id"]] = row["variants"]
    return done
