"""Judge concept maps against label masks, and print a table of figures.

    python run.py evaluate scenes-single --family flux --vary spaces
    python run.py evaluate imagenet --data gtsegs_ijcv.mat --wordnet DIR --renamed FILE --unet FILE --clip FILE FILE --vae FILE --gpus 1
    python run.py evaluate folder --data DIR --family sd3 --checkpoint FILE
    python run.py evaluate folder --data DIR --family sd3 --checkpoint FILE --search

What comes out lies in the folder --out: table.md, figures.json, pictures.csv with a line for each picture, variant and class,
contact sheets to look at and, where a knob is swept, curve.png. A run that was interrupted goes on where it stopped.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from .datasets import open_data
from .engine import Engine
from .options import add_engine, add_model, changes_of, engine_of, model_of
from .presets import Protocol, ablation_named, grid_of_search, names_of, protocol_named, searched, swept, variants_of
from .results import claim, keep, rows_of, write_whole
from .search import counts_of, decode_node, report, search
from .worker import Judging

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Job:
    """What a command line asks for; `about` is what makes its results, and has to be the same when it goes on."""

    protocol: Protocol
    ablation: str | None
    data: dict
    model: dict
    search: bool
    limit: int
    sheets: int
    out: Path

    @property
    def single(self) -> bool:
        return self.protocol.classes == "single"

    def about(self) -> dict:
        variants = {"name": "search", **grid_of_search()} if self.search else {"name": self.ablation, **ablation_named(self.ablation)}
        return {"protocol": asdict(self.protocol), "ablation": variants, "data": self.data, "model": self.model}

    def variants(self, depth: int) -> dict[str, Protocol]:
        """Name → protocol of all that are judged; depth: how many blocks the model has."""
        return searched(self.protocol, depth) if self.search else variants_of(self.protocol, self.ablation, depth)

    def open_data(self):
        return open_data(self.protocol.data, names=self.protocol.names, single=self.single, **self.data)


def main(arguments: list[str]) -> int:
    args = parse(arguments)
    try:
        return run(job_of(args), engine_of(args))
    except ValueError as error:
        sys.exit(str(error))


def run(job: Job, engine: Engine) -> int:
    data = job.open_data()
    ids = data.ids[: job.limit or None]
    if not ids:
        raise ValueError("There is no picture to judge: are the labels numbers from 1, and 255 only where nothing is judged?")
    claim(job.out, job.about())
    done = finished(job.out)
    left = [index for index, id in enumerate(ids) if id not in done]
    print(f"{len(ids)} pictures, {len(ids) - len(left)} of them done before. Results go to {job.out}.", flush=True)
    if data.left_out:
        print(f"{data.left_out} pictures are left out: they are not of {'a single class' if job.single else 'any class'}.", flush=True)
    if job.protocol.data == "imagenet" and not job.data["renamed"]:
        print("Without --renamed the concepts are WordNet's words (malinois), not the paper's simpler ones (dog).", flush=True)
    if left:
        keep(engine.share_out(partial(Judging, job), left), job.out, len(ids) - len(left), len(ids))
        done = finished(job.out)
    judged = {id: done[id] for id in ids}
    if job.search:
        conclude_search(job, judged, data.classes)
    else:
        conclude(job, judged, data.classes)
    return 0


def finished(out: Path) -> dict[str, dict]:
    """Id → results of all pictures that are done."""
    return {row["id"]: row["variants"] for row in rows_of(out)}


def conclude(job: Job, done: dict[str, dict], classes: list[str]):
    from .figures import draw_curve, figures_of, table, write_csv, write_json
    from .sheets import lay_out

    variants = next(iter(done.values()))
    figures = {name: figures_of([results[name] for results in done.values()], job.protocol.authors) for name in variants}
    text = table(figures, len(done))
    (job.out / "table.md").write_text(text + "\n", encoding="utf-8")
    write_csv(done, classes, job.out / "pictures.csv")
    write_json(figures, job.about(), job.out / "figures.json")
    if swept(job.ablation):
        draw_curve(figures, swept(job.ablation), job.out / "curve.png")
    lay_out(sorted((job.out / "strips").glob("*.png")), job.out)
    print(text)


def conclude_search(job: Job, done: dict[str, dict], classes: list[str]):
    names = list(next(iter(done.values())))
    found = search(counts_of(done, names, len(classes)))
    text = report(found, [json.loads(name) for name in names], job.protocol.space)
    write_whole(job.out / "search.md", (text + "\n").encode())
    write_whole(
        job.out / "decode.json", (json.dumps(decode_node(json.loads(names[found.best]), job.protocol.space), indent=1) + "\n").encode()
    )
    print(text)


def job_of(args) -> Job:
    protocol = protocol_named(args.protocol, changes_of(args))
    data = {"data": args.data or ("200" if protocol.data == "scenes" else "")}
    if not data["data"]:
        raise ValueError(f"{args.protocol} needs --data: the path of its pictures and labels.")
    if protocol.data == "imagenet":
        data |= {"wordnet": args.wordnet, "renamed": args.renamed}
    if args.search and (args.vary or protocol.method != "concepts"):
        raise ValueError("--search chooses settings of a protocol whose method is concepts: leave --vary out.")
    what = "-".join([args.protocol, *([args.vary] if args.vary else []), *(["search"] if args.search else []), args.family])
    out = Path(args.out or HERE / "evaluation_output" / what)
    return Job(protocol, args.vary, data, model_of(args), args.search, args.limit, args.sheets, out)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run.py evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=names_of("protocols"), help="every knob of each stands in evaluation/presets.toml")
    parser.add_argument("--vary", choices=names_of("ablations"), help="an ablation: the protocol's variants side by side")
    parser.add_argument("--search", action="store_true", help="choose blocks, steps and temperature by the data: docs/evaluation.md")
    parser.add_argument("--data", default="", help="gtsegs_ijcv.mat, VOCdevkit, a folder, or how many scenes (200)")
    parser.add_argument("--wordnet", default="", help="imagenet: the folder of WordNet 3.0's data.noun, for the words of its synsets")
    parser.add_argument("--renamed", default="", help='imagenet: JSON, word → simpler word, such as "miniature pinscher": "dog"')
    add_model(parser)
    parser.add_argument("--limit", type=int, default=0, help="so many pictures, the first ones")
    parser.add_argument("--sheets", type=int, default=24, help="how many pictures the contact sheets show")
    parser.add_argument("--out", default="", help="a folder; evaluation_output/… if not given")
    add_engine(parser)
    return parser.parse_args(arguments)
