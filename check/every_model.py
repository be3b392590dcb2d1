"""Goes through the models, one after the other; what fails is in the report, and the next one is tried."""

import gc
import json
import os
import time

import comfy.model_management
import folder_paths

from ..concept_core.api import Loaded, load_model
from ..concept_core.families.registry import BY_KEY
from ..demo_model import DEMO_FAMILIES
from .card import FRAMES, PROMPTS, Card, Prompt, Settings, card_of
from .command import Options
from .files import Model, models_there
from .machine import machine
from .page import page
from .parts import FAST
from .private import without_folders

OF_DEMO = [
    Prompt("a red circle, a blue square and a yellow star on grass", ("circle", "square", "star", "grass", "heart"), "heart"),
    Prompt("a purple heart and a green circle on sand", ("heart", "circle", "sand", "square"), "square"),
]
OF_DEMO_CLIPS = [Prompt("a red circle moves right over grass", ("circle", "grass", "square"), "square")]
DEMO_CFG = {"flux": 2.0, "sd3": 4.5, "hunyuan-video": 2.0}


def run(options: Options) -> int:
    """0 where the picture stayed the same with every model that was sampled, 1 where it did not, or nothing was sampled."""
    demos = [f"demo model, {family}" for family in DEMO_FAMILIES] if options.demo else []
    files = list(models_there()) if options.files else []
    known = tuple(place for places, _ in folder_paths.folder_names_and_paths.values() for place in places)
    chosen = [name for name in demos if is_asked_for(name, options)] + [one for one in files if is_asked_for(one.file.name, options)]
    say(f"{len(chosen)} models" + (f" of {len(demos) + len(files)}" if options.only else "") + " are looked at.")
    if options.list_only:
        for one in chosen:
            say(f"  {one if isinstance(one, str) else listing(one)}")
        return 0
    entries: list[dict] = []
    cards: list[Card | None] = []
    for number, one in enumerate(chosen, 1):
        name = one if isinstance(one, str) else one.file.name
        say(f"{number} of {len(chosen)}: {name}")
        entry, card = checked(one, options, known)
        entries.append({"model": name, **entry})
        cards.append(card)
        write(options, entries, cards)
    if not chosen:
        say("No model was found. Look at the folders checkpoints and diffusion_models, or take --demo.")
        return 1
    say(f"Done: report.html and report.json are in {options.out}. They can be attached to an issue.")
    done = [card for card in cards if card is not None]
    return 0 if done and all(card.numbers()["same_latent"] for card in done) else 1


def is_asked_for(name: str, options: Options) -> bool:
    return not options.only or any(part.lower() in name.lower() for part in options.only)


def listing(model: Model) -> str:
    with_it = ", ".join(path.name for path in [*model.encoders, *([model.vae] if model.vae else [])])
    return f"{model.file.name}: " + (model.why_not or f"{model.name}" + (f", with {with_it}" if with_it else ""))


def checked(one: str | Model, options: Options, known: tuple[str, ...]) -> tuple[dict, Card | None]:
    """(what the JSON says of it, its card if it has one)"""
    if isinstance(one, Model) and one.why_not:
        why = without_folders(one.why_not, known)
        say(f"  not run: {why}")
        return {"not_run": why, **({"family": one.name} if one.name else {})}, None
    started = time.perf_counter()
    try:
        card = card_of_demo(one, options) if isinstance(one, str) else card_of_file(one, options)
    except Exception as error:  # whatever it is, the other models are tried, and it is in the report
        why = without_folders(f"{type(error).__name__}: {error}", known)
        say(f"  failed: {why}")
        return {"failed": why, **({} if isinstance(one, str) else {"family": one.name})}, None
    finally:
        comfy.model_management.unload_all_models()
        gc.collect()
        comfy.model_management.soft_empty_cache()
    numbers = card.numbers()
    say(f"  {'the same picture' if numbers['same_latent'] else 'ANOTHER picture'}; a step takes {numbers['step_ratio']:.3f} times as long")
    files = {} if isinstance(one, str) else {"with": [path.name for path in [*one.encoders, *([one.vae] if one.vae else [])]]}
    return {**numbers, **files, "took_seconds": round(time.perf_counter() - started, 1)}, card


def card_of_demo(name: str, options: Options) -> Card:
    family = name.removeprefix("demo model, ")
    demo = DEMO_FAMILIES[family]
    prompts = OF_DEMO_CLIPS if demo.makes_clips else OF_DEMO
    side, frames = (128, 13) if demo.makes_clips else (256, 1)
    settings = Settings(options.side or side, options.steps or 20, options.cfg or DEMO_CFG[family], frames)
    return card_of(Loaded(*demo.load()), settings, prompts[: options.prompts], say)


def card_of_file(model: Model, options: Options) -> Card:
    own = {"checkpoint" if model.is_checkpoint else "diffusion_model": model.file}
    loaded = load_model(**own, text_encoders=model.encoders, vae=model.vae)
    return card_of(loaded, settings_for(model, options), PROMPTS[: options.prompts], say)


def settings_for(model: Model, options: Options) -> Settings:
    parts, is_fast = model.parts, bool(FAST.search(model.file.name))
    steps, cfg = (parts.fast_steps, 1.0) if is_fast else (parts.steps, parts.cfg)
    frames = FRAMES if BY_KEY[model.family].frames_per_latent else 1
    return Settings(options.side or parts.side, options.steps or steps, options.cfg or cfg, frames)


def write(options: Options, entries: list[dict], cards: list[Card | None]):
    """After each model, so that what is there is not lost."""
    options.out.mkdir(parents=True, exist_ok=True)
    about = {"machine": machine(), "models": entries}
    for name, text in (("report.json", json.dumps(about, indent=1)), ("report.html", page(about, cards))):
        part = options.out / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        os.replace(part, options.out / name)


def say(text: str):
    print(text, flush=True)
