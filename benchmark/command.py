"""What the nodes cost: ratios of sampling with them to sampling without, in turns in one process.

    python run.py benchmark flux-medium
    python run.py benchmark flux-medium --sweep concepts ways
    python run.py benchmark flux-medium --one-thread --sweep steered
    python run.py benchmark flux-dev --gpu
    python run.py benchmark after
    python run.py benchmark operations
    python run.py benchmark clips

Prints a table in Markdown. A ratio is the median over --pairs of samplings, with the quarters below and above it. With --one-thread it is
of each sampling to itself without what the nodes did in it; the way of open attention is compared in pairs even so.
"""

import argparse
import platform
import sys
import time

import torch

from . import after, clips, models, operations
from .measure import Cost, Sampling, compare, compare_within
from .steered import STEERED, draw_scores, steered
from .ways import WAYS, model_of

SWEEPS = {
    "concepts": [{"concepts": n} for n in (1, 4, 16)],
    "tokens": [{"tokens": n} for n in (1, 4)],
    "side": [{"side": n} for n in (0.5, 1.0, 2.0)],
    "batch": [{"batch": n} for n in (1, 2)],
    "cfg": [{"cfg": n} for n in (1.0, 4.5)],
    "spaces": [{"spaces": name} for name in ("output + cross-attention", "all")],
    "single_blocks": [{"single_blocks": True}],
    "window": [{"start_percent": 0.0, "end_percent": 0.5}, {"start_percent": 0.5, "end_percent": 1.0}],
    "ways": [{"way": way} for way in WAYS],
    "steered": [{"steered": node} for node in STEERED],
}
PLAIN = {"concepts": 4, "tokens": 1, "side": 1.0, "batch": 1, "cfg": 1.0, "spaces": "auto", "start_percent": 0.0, "end_percent": 1.0}
PLAIN |= {"way": "nodes", "single_blocks": False, "steered": ""}
WHAT = "a model; or what comes after sampling: decoding, heatmaps, masks; or the operations in a block; or what clips take"
WITHIN = "on one thread, the nodes' part of each sampling's processor time: for machines where others work too"
RECORDED = ("spaces", "start_percent", "end_percent", "single_blocks")


@torch.no_grad()
def main(arguments: list[str]) -> int:
    args = parse(arguments)
    if args.size == "after":
        print(f"{machine()}\n| | seconds |\n|---|---|", flush=True)
        for name, seconds in after.rows():
            print(f"| {name} | {seconds:.2f} |", flush=True)
        print(f"\n{after.kept()}")
        return 0
    if args.size == "operations":
        print("| a block | its own operations | added |\n|---|---|---|", flush=True)
        for name, own, added in operations.rows():
            print(f"| {name} | {own:g} | {added:g} |", flush=True)
        return 0
    if args.size == "clips":
        print(machine())
        for line in clips.report():
            print(line, flush=True)
        return 0
    size = models.SIZES[args.size]
    model = models.build(size)
    if args.one_thread:
        torch.set_num_threads(1)
    print(f"{args.size}, {describe(size)}; {args.steps} steps, {args.pairs} pairs; {machine()}", flush=True)
    print("| | ratio | quarters | a plain sampling | extra peak | kept |\n|---|---|---|---|---|---|", flush=True)
    for change in [{}] + [change for sweep in args.sweep for change in SWEEPS[sweep] if change.items() - PLAIN.items()]:
        cost = measure(model, size, PLAIN | change, args.steps, args.pairs, args.one_thread)
        print(row(", ".join(f"{knob} {value}" for knob, value in change.items()) or "4 concepts", cost), flush=True)
    return 0


def measure(model, size, knobs, steps, pairs, one_thread=False) -> Cost:
    side = int(size.side * knobs["side"]) // 16 * 16
    clock = time.process_time if one_thread else time.perf_counter
    sampling = Sampling(size, side, knobs["batch"], steps, knobs["cfg"], clock)
    kept: list[torch.Tensor] = []
    of_prompt = knobs["way"] == "words"
    chosen = knobs["concepts"], knobs["tokens"]
    named = models.words(size, *chosen, sampling.prompts[0]) if of_prompt else models.concepts(size, *chosen)
    choices = {knob: knobs[knob] for knob in RECORDED} | ({"observe": draw_scores} if knobs["steered"] else {})
    patched, recording = model_of(knobs["way"], model, named, size.prompt, kept, **choices)
    runs = recording.runs if recording else []
    if knobs["steered"]:
        model = patched = steered(knobs["steered"], patched, recording, sampling, size)

    def let_go():
        kept.clear()
        runs.clear()

    def held():
        return sum(tensor.nbytes for tensor in kept) + sum(run.nbytes for run in runs)

    by = compare_within if one_thread and recording else compare
    return by(sampling, model, patched, held, let_go, pairs)


def row(name: str, cost: Cost) -> str:
    low, high = cost.spread
    sizes = f"{cost.peak / 1e6:.0f} MB | {cost.kept / 1e6:.1f} MB"
    return f"| {name} | {cost.ratio:.3f} | {low:.3f} to {high:.3f} | {cost.seconds:.2f} s | {sizes} |"


def describe(size) -> str:
    return f"hidden {size.hidden}, {size.depth} + {size.single} blocks, {size.side} pixels, {str(size.dtype).removeprefix('torch.')}"


def machine() -> str:
    import comfy.model_management

    device = comfy.model_management.get_torch_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads of {platform.machine()}"
    return f"torch {torch.__version__} on {name}"


def parse(arguments):
    parser = argparse.ArgumentParser(prog="run.py benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=[*models.SIZES, "after", "operations", "clips"], help=WHAT)
    parser.add_argument("--sweep", nargs="*", default=[], choices=list(SWEEPS), help="what is changed, one after the other")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--one-thread", action="store_true", help=WITHIN)
    parser.add_argument("--gpu", action="store_true", help="without it, the processor")
    args = parser.parse_args(arguments)
    if "steered" in args.sweep and not args.one_thread:
        parser.error("steered: give it --one-thread too, since no other sampling makes the same picture")
    return args


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
