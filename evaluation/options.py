"""Options that the commands have in common: which model, and where it runs."""

import tomllib

from .engine import Engine


def add_model(parser):
    parser.add_argument("--family", default="flux", help="its key in concept_core/families, such as flux, sd3 or qwen-image")
    parser.add_argument("--checkpoint", default="", help="a file with everything in it; without any file the demo model is used")
    parser.add_argument("--unet", default="")
    parser.add_argument("--clip", nargs="+", action="extend", default=[])
    parser.add_argument("--vae", default="")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KNOB=VALUE", help="in TOML: noise=0.3 'blocks=\"all\"'")


def model_of(args) -> dict:
    """What models.Files takes."""
    given = {"checkpoint": args.checkpoint, "unet": args.unet, "clip": tuple(args.clip), "vae": args.vae}
    model = {"family": args.family} | {part: value for part, value in given.items() if value}
    return model if len(model) > 1 else model | {"checkpoint": "demo"}


def changes_of(args) -> dict:
    """Knob → value, of --set."""
    return tomllib.loads("\n".join(args.set))


def add_engine(parser):
    parser.add_argument(
        "--processes", type=int, default=0, help="how many share the pictures; one for each GPU, or two cores, if not given"
    )
    parser.add_argument("--gpus", type=int, default=0, help="how many to use; 0 is the processor")
    parser.add_argument("--address", default="", help="of a Ray cluster that runs, such as 192.168.0.2:6379; docs/evaluation.md")


def engine_of(args) -> Engine:
    return Engine(args.processes, args.gpus, args.address)
