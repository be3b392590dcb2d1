"""Label a folder of pictures, its folders included: masks, label pictures and maps of what is named, and each one's presence.

    python run.py annotate FOLDER --concepts "dog, cat, grass" --unet FILE --clip FILE FILE --vae FILE --gpus 1
    python run.py annotate FOLDER --concepts "circle, star" --background "grass, sand" --write labels parquet

What comes out lies in the folder --out: presence.csv, skipped.csv with what could not be read, and what --write names. A run that was
interrupted goes on where it stopped, and takes up pictures that have come since.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from itertools import chain
from pathlib import Path

import numpy as np

from ..concept_core.concepts.names import parse_concepts
from .annotating import WHAT, Annotating
from .annotations import write_coco, write_parquet, write_tables
from .options import add_engine, add_model, changes_of, engine_of, model_of
from .presets import Protocol, names_of, protocol_named
from .results import claim, keep, rows_of

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
DIGEST = 16  # bytes, of a picture's name


@dataclass(frozen=True)
class Job:
    folder: Path
    concepts: tuple[str, ...]
    protocol: Protocol
    model: dict
    write: tuple[str, ...]

    def about(self) -> dict:
        """What makes the results, which has to be the same when it goes on."""
        pictures = {"folder": str(self.folder), "concepts": self.concepts, "write": self.write}
        return {"pictures": pictures, "protocol": asdict(self.protocol), "model": self.model}


def main(arguments: list[str]) -> int:
    args = parse(arguments)
    try:
        return run(job_of(args), Path(args.out or f"{args.folder.rstrip('/')}-labels").resolve(), engine_of(args))
    except ValueError as error:
        sys.exit(str(error))


def run(job: Job, out: Path, engine) -> int:
    total = sum(1 for _ in pictures_in(job.folder, out))
    if not total:
        raise ValueError(f"There is no picture in {job.folder}.")
    claim(out, job.about())
    done = Names(row["picture"] for row in rows_of(out))
    left = (picture for picture in pictures_in(job.folder, out) if picture not in done)
    print(f"{total} pictures, {len(done)} of them done before. Results go to {out}.", flush=True)
    if first := next(left, None):
        keep(engine.share_out(partial(Annotating, job), chain([first], left)), out, len(done), total)
    conclude(job, out)
    return 0


def conclude(job: Job, out: Path):
    labelled, skipped = write_tables(out, job.concepts)
    if "coco" in job.write:
        write_coco(out, job.concepts)
    if "parquet" in job.write:
        write_parquet(out)
    print(f"{labelled} pictures are labelled.", f"{skipped} could not be read: see skipped.csv." if skipped else "")


def pictures_in(folder: Path, but: Path) -> Iterator[str]:
    """Paths within the folder, with slashes, of what is called like a picture; no folder is ever listed as a whole."""
    folders = [""]
    while folders:
        within = folders.pop()
        with os.scandir(folder / within) as entries:
            for entry in entries:
                name = f"{within}{entry.name}"
                if entry.is_dir(follow_symlinks=False) and folder / name != but:
                    folders.append(f"{name}/")
                elif Path(name).suffix.lower() in PICTURES and entry.is_file():
                    yield name


class Names:
    """Which names are among these, at DIGEST bytes each."""

    def __init__(self, names):
        self.digests = np.sort(np.fromiter(map(self._digest, names), dtype=f"S{DIGEST}"))

    def __contains__(self, name: str) -> bool:
        place = int(np.searchsorted(self.digests, digest := np.array(self._digest(name), self.digests.dtype)))
        return place < len(self.digests) and self.digests[place] == digest

    def __len__(self):
        return len(self.digests)

    def _digest(self, name):
        return blake2b(name.encode("utf-8", "surrogateescape"), digest_size=DIGEST).digest()


def job_of(args) -> Job:
    folder = Path(args.folder).resolve()
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    concepts = tuple(parse_concepts("\n".join(args.concepts)))
    background = {"background": parse_concepts("\n".join(args.background))} if args.background else {}
    protocol = protocol_named(args.protocol, {"prompt": args.prompt, "absent": 0} | background | changes_of(args))
    if len(concepts) + len(protocol.background) < 2:
        raise ValueError(f'"{concepts[0]}" has nothing to compete with: name what else is in the pictures, or a --background.')
    if not protocol.softmax:
        raise ValueError("Raw scores have no presence: leave softmax on.")
    return Job(folder, concepts, protocol, model_of(args), tuple(sorted(set(args.write))))


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run.py annotate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="of pictures; other folders in it are read too")
    parser.add_argument("--concepts", nargs="+", required=True, help='what is to be found, such as "dog, cat": at most 254')
    parser.add_argument("--background", nargs="+", help="what competes with the concepts and has no label; of the protocol if not given")
    parser.add_argument("--prompt", default="{caption}", help="{caption} is the text in NAME.txt beside NAME.jpg, if there is one")
    parser.add_argument("--write", nargs="+", choices=WHAT, default=["coco"], help="which labels: coco if not given")
    parser.add_argument("--protocol", choices=names_of("protocols"), default="folder", help="whose settings to take: docs/evaluation.md")
    add_model(parser)
    add_engine(parser)
    parser.add_argument("--out", default="", help="a folder; FOLDER-labels if not given")
    return parser.parse_args(arguments)
