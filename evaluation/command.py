"""Judge concept maps against label masks, and print a table of figures.

    python run.py evaluate scenes-single --family flux --vary spaces
    python run.py evaluate imagenet --data gtsegs_ijcv.mat --wordnet DIR --renamed FILE --unet FILE --clip FILE FILE --vae FILE --gpus 1
    python run.py evaluate folder --data DIR --family sd3 --checkpoint FILE

What comes out lies in the folder --out: table.md, figures.json, pictures.csv with a line for each picture, variant and class,
contact sheets to look at and, where a knob is swept, curve.png. A run that was interrupted goes on where it stopped.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import tomllib

from .datasets import open_data
from .presets import Protocol, ablation_named, names_of, protocol_named, swept
from .worker import finished, work

HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Job:
    """What a command line asks for; `about` is what makes its results, and has to be the same when it goes on."""

    protocol: Protocol
    ablation: str | None
    data: dict
    model: dict
    limit: int
    sheets: int
    out: Path

    @property
    def single(self) -> bool:
        return self.protocol.classes == "single"

    def about(self) -> dict:
        variants = {"name": self.ablation, **ablation_named(self.ablation)}
        about = {"protocol": asdict(self.protocol), "ablation": variants, "data": self.data, "model": self.model}
        return json.loads(json.dumps(about))  # as it is read again

    def open_data(self):
        return open_data(self.protocol.data, names=self.protocol.names, single=self.single, **self.data)


def main(arguments: list[str]) -> int:
    args = parse(arguments)
    try:
        job = job_of(args)
        if args.shard:
            work_on_shard(job, args.shard)
            return 0
        return run(job, args, arguments)
    except ValueError as error:
        sys.exit(str(error))


def run(job: Job, args, arguments) -> int:
    data = job.open_data()
    ids = data.ids[: job.limit or None]
    if not ids:
        raise ValueError("There is no picture to judge: are the labels numbers from 1, and 255 only where nothing is judged?")
    claim(job)
    done = finished(job.out)
    left = len([id for id in ids if id not in done])
    print(f"{len(ids)} pictures, {len(ids) - left} of them done before. Results go to {job.out}.", flush=True)
    if data.left_out:
        print(f"{data.left_out} pictures are left out: they are not of {'a single class' if job.single else 'any class'}.", flush=True)
    if job.protocol.data == "imagenet" and not job.data["renamed"]:
        print("Without --renamed the concepts are WordNet's words (malinois), not the paper's simpler ones (dog).", flush=True)
    if left:
        work_in_processes(job, min(args.processes or max(1, args.gpus), left), args.gpus, arguments, ids)
        done = finished(job.out)
    conclude(job, {id: done[id] for id in ids}, data.classes)
    return 0


def claim(job: Job):
    """The folder of the results is this job's: new, without any result yet, or gone on with."""
    stamp = job.out / "run.json"
    job.out.mkdir(parents=True, exist_ok=True)
    if stamp.is_file() and any(job.out.glob("part-*.jsonl")):
        before, now = json.loads(stamp.read_text(encoding="utf-8")), job.about()
        differing = [
            f"{part}.{key}" for part in now for key in {**before[part], **now[part]} if before[part].get(key) != now[part].get(key)
        ]
        if differing:
            raise ValueError(f"{job.out} holds another run ({', '.join(differing)} differ): choose another --out, or remove it.")
    stamp.write_text(json.dumps(job.about(), indent=1) + "\n", encoding="utf-8")


def work_in_processes(job: Job, processes: int, gpus: int, arguments, ids):
    """Each with a share of the pictures; a bar counts those that are done."""
    from tqdm import tqdm

    workers, failed = [], []
    try:
        for number in range(processes):
            command = [sys.executable, HERE / "dev" / "run_evaluation.py", *arguments, "--shard", f"{number}/{processes}"]
            log = open(job.out / f"worker-{number}.log", "w", encoding="utf-8")
            environment = environment_of(number, processes, gpus)
            workers.append((subprocess.Popen([str(part) for part in command], env=environment, stdout=log, stderr=log), log))
        quiet = 0.5 if sys.stderr.isatty() else 20
        with tqdm(total=len(ids), initial=count_done(job.out, ids), unit="picture", mininterval=quiet) as bar:
            running = True
            while running and not failed:
                time.sleep(0.5)
                running = any(process.poll() is None for process, _ in workers)
                failed = [number for number, (process, _) in enumerate(workers) if process.poll()]
                bar.update(count_done(job.out, ids) - bar.n)
    finally:
        for process, log in workers:
            if process.poll() is None:
                process.terminate()
            process.wait()
            log.close()
    if failed:
        log = (job.out / f"worker-{failed[0]}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        raise ValueError("A worker failed. The end of its log:\n" + "\n".join(log[-12:]) + "\nWhat is done is kept: run it again to go on.")


def environment_of(number: int, processes: int, gpus: int) -> dict[str, str]:
    """A worker's: its GPU, of those that are visible here, or its share of the processors."""
    variables = {**os.environ, "ON_GPU": "1" if gpus else "", "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes))}
    if gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))
        variables["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number % gpus]
    return variables


def count_done(out: Path, ids) -> int:
    return min(len(ids), sum(part.read_bytes().count(b"\n") for part in out.glob("part-*.jsonl")))


def work_on_shard(job: Job, shard: str):
    """In a process of its own: those of its pictures that are left."""
    from .judging import Judge
    from .models import Files, depth_of, load

    number, processes = map(int, shard.split("/"))
    data, done = job.open_data(), finished(job.out)
    ids = data.ids[: job.limit or None]
    left = [index for index in range(number, len(ids), processes) if ids[index] not in done]
    model, clip, vae = load(Files(**job.model))
    work(Judge(model, clip, vae, data), depth_of(model), job, left, job.out / f"part-{time.time_ns()}-{number}.jsonl")


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


def job_of(args) -> Job:
    changes = tomllib.loads("\n".join(args.set))
    protocol = protocol_named(args.protocol, changes)
    data = {"data": args.data or ("200" if protocol.data == "scenes" else "")}
    if not data["data"]:
        raise ValueError(f"{args.protocol} needs --data: the path of its pictures and labels.")
    if protocol.data == "imagenet":
        data |= {"wordnet": args.wordnet, "renamed": args.renamed}
    given = {"checkpoint": args.checkpoint, "unet": args.unet, "clip": tuple(args.clip), "vae": args.vae}
    model = {"family": args.family} | {part: value for part, value in given.items() if value}
    if len(model) == 1:
        model["checkpoint"] = "demo"
    what = "-".join([args.protocol, *([args.vary] if args.vary else []), args.family])
    out = Path(args.out or HERE / "evaluation_output" / what)
    return Job(protocol, args.vary, data, model, args.limit, args.sheets, out)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run.py evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=names_of("protocols"), help="every knob of each stands in evaluation/presets.toml")
    parser.add_argument("--vary", choices=names_of("ablations"), help="an ablation: the protocol's variants side by side")
    parser.add_argument("--data", default="", help="gtsegs_ijcv.mat, VOCdevkit, a folder, or how many scenes (200)")
    parser.add_argument("--wordnet", default="", help="imagenet: the folder of WordNet 3.0's data.noun, for the words of its synsets")
    parser.add_argument("--renamed", default="", help='imagenet: JSON, word → simpler word, such as "miniature pinscher": "dog"')
    parser.add_argument("--family", default="flux", help="its key in concept_core/families, such as flux, sd3 or qwen-image")
    parser.add_argument("--checkpoint", default="", help="a file with everything in it; without any file the demo model is judged")
    parser.add_argument("--unet", default="")
    parser.add_argument("--clip", nargs="+", action="extend", default=[])
    parser.add_argument("--vae", default="")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KNOB=VALUE", help="in TOML: noise=0.3 'blocks=\"all\"'")
    parser.add_argument("--limit", type=int, default=0, help="so many pictures, the first ones")
    parser.add_argument("--sheets", type=int, default=24, help="how many pictures the contact sheets show")
    parser.add_argument("--processes", type=int, default=0, help="the pictures are shared out among them; one for each GPU if not given")
    parser.add_argument("--gpus", type=int, default=0, help="how many to use; 0 is the processor")
    parser.add_argument("--out", default="", help="a folder; evaluation_output/… if not given")
    parser.add_argument("--shard", default="", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)
