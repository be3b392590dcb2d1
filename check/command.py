"""A report card for the models in your ComfyUI: does the picture stay the same, what do the nodes cost, how good are the maps?

It finds the models in ComfyUI's model folders, samples a few fixed prompts with each, with and without the nodes, and writes one page
with pictures and the same numbers as JSON. Nothing is sent anywhere. The report names your model files, the device and the versions,
and no folder, user or machine: it can be attached to an issue.

All other options are ComfyUI's own, such as --cpu, --lowvram, --base-directory and --extra-model-paths-config.
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """only: parts of file names, or none for all. side, steps, cfg: 0 for what suits the family."""

    only: tuple[str, ...] = ()
    demo: bool = True
    files: bool = True
    list_only: bool = False
    prompts: int = 2
    side: int = 0
    steps: int = 0
    cfg: float = 0.0
    out: Path = Path("concept_check")


def main(arguments: list[str]) -> int:
    options, of_comfyui = parse(arguments)
    start_comfyui(of_comfyui)
    from .every_model import run  # which imports ComfyUI

    return run(options)


def parse(arguments: list[str]) -> tuple[Options, list[str]]:
    """What is asked for, and what is left for ComfyUI."""
    description, *_ = (__doc__ or "").partition("\n\nAll other")
    parser = argparse.ArgumentParser(
        prog="check", description=description, epilog="All other options are ComfyUI's own, such as --cpu and --lowvram.",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="models whose file names hold one of these, such as flux")
    parser.add_argument("--demo", action="store_true", help="the demo models alone")
    parser.add_argument("--no-demo", action="store_true", help="not the demo models")
    parser.add_argument("--list", action="store_true", help="say what is there and what is missing, and sample nothing")
    parser.add_argument("--prompts", type=int, default=2, help="how many prompts, 1 to 4")
    parser.add_argument("--size", type=int, default=0, help="pixels a side; the family's own if not given")
    parser.add_argument("--steps", type=int, default=0, help="of each sampling; the family's own if not given")
    parser.add_argument("--cfg", type=float, default=0.0, help="the family's own if not given")
    parser.add_argument("--out", type=Path, default=Options.out, help="folder for report.html and report.json")
    args, rest = parser.parse_known_args(arguments)
    if not 1 <= args.prompts <= 4:
        parser.error(f"--prompts is 1 to 4, not {args.prompts}.")
    if min(args.size, args.steps, args.cfg) < 0:
        parser.error("--size, --steps and --cfg are above 0.")
    if args.demo and args.no_demo:
        parser.error("--demo and --no-demo leave nothing.")
    chosen = Options(
        only=tuple(args.only), demo=not args.no_demo, files=not args.demo, list_only=args.list, prompts=args.prompts, side=args.size,
        steps=args.steps, cfg=args.cfg, out=args.out,
    )  # fmt: skip
    return chosen, rest


def start_comfyui(arguments: list[str]):
    """Import ComfyUI's settings with these options, and find its model folders as its own start does."""
    import torch

    try:
        import comfy.options
    except ImportError:
        sys.exit("ComfyUI is not here. Run this in ComfyUI's folder, with ComfyUI's Python.")
    if "--cpu" not in arguments and "--directml" not in arguments and not has_gpu(torch):
        print("There is no GPU that PyTorch knows: this runs on the processor.", flush=True)
        arguments = [*arguments, "--cpu"]
    sys.argv = [sys.argv[0], *arguments]
    comfy.options.enable_args_parsing()
    import comfy.cli_args
    import folder_paths
    from utils.extra_config import load_extra_path_config

    beside = Path(os.path.realpath(folder_paths.__file__)).with_name("extra_model_paths.yaml")
    for file in [*([beside] if beside.is_file() else []), *sum(comfy.cli_args.args.extra_model_paths_config or [], [])]:
        load_extra_path_config(str(file))


def has_gpu(torch) -> bool:
    kinds = [torch.cuda, torch.backends.mps, getattr(torch, "xpu", None), getattr(torch, "accelerator", None)]
    return any(kind is not None and kind.is_available() for kind in kinds)
