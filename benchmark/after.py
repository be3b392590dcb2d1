"""What comes before and after sampling, and beside it: loading, decoding, live maps, heatmaps, masks, on the processor as in the nodes."""

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch

from ..concept_core.concepts.concepts import Concepts
from ..concept_core.draw.heatmaps import heatmaps
from ..concept_core.draw.segmentation import segment
from ..concept_core.maps.decode import decode
from ..concept_core.masks.masks import masks
from ..concept_core.record.receiver import Receiver
from ..concept_core.recording.recording import Recording, Run
from ..concept_core.steer.live import live_maps, live_mask
from ..demo_model import DEMO_FAMILIES

CASES = ((1024, 4), (2048, 8), (4096, 12))  # side in pixels, concepts
DEAREST = {  # values that the nodes allow; to be read beside "Mask, one concept, soft", which has the defaults
    "edge_radius 4": {"method": "soft", "edge_radius": 4},
    "edge_radius 64": {"method": "soft", "edge_radius": 64},
    "grown by 512 pixels": {"method": "soft", "grow": 512},
    "of 0 and 1, grown by 512 pixels": {"method": "winner", "grow": 512},
    "feathered by 512 pixels": {"method": "soft", "feather": 512.0},
    "holes filled, small parts dropped": {"method": "soft", "fill_holes": True, "min_area": 0.001},
}
STEPS, BLOCKS, TURNS = 20, 4, 5


def recorded(side: int, number: int, steps: int = STEPS, blocks: int = BLOCKS):
    """(recording, samples) with scores that are smooth over the picture, as real ones are."""
    tokens = side // 16
    generator = torch.Generator().manual_seed(0)
    scores = torch.nn.functional.avg_pool2d(torch.randn(blocks, number, tokens, tokens, generator=generator), 9, 1, 4) * 20
    samples = torch.randn(1, 16, side // 8, side // 8, generator=generator)
    run = Run(1, (1, side // 8, side // 8), (1, tokens, tokens), (side, side), lambda percent: 1 - percent, latents=[samples])
    receiver = Receiver(run)
    for step in range(steps):
        receiver.add(torch.tensor(1 - step / steps), {"output": scores.flatten(2)[:, None] + step / 100})
    receiver.settle()
    names = tuple(f"concept {n}" for n in range(number))
    concepts = Concepts(names, number, "t5", torch.zeros(number, 1), torch.eye(number))
    return Recording(concepts, ("output",), blocks, range(blocks), 16, [run]), samples


def kept(steps: int = 28, blocks: int = 19, number: int = 8, side: int = 1024) -> str:
    """What a recording of that size takes."""
    recording, _ = recorded(side, number, steps, blocks)
    size = f"{steps} steps x {blocks} blocks x {number} concepts x {(side // 16) ** 2} tokens"
    return f"A recording of {size} keeps {recording.runs[0].nbytes / 1e6:.1f} MB, its latent among it."


@torch.no_grad()
def rows():
    """(what, seconds) of the median of some turns."""
    yield from loading()
    for side, number in CASES:
        recording, samples = recorded(side, number)
        small = torch.rand(1, 3, side // 16, side // 16, generator=torch.Generator().manual_seed(1))
        image = torch.nn.functional.interpolate(small, size=(side, side), mode="bicubic").clamp(0, 1).movedim(1, -1).contiguous()
        maps, (run,) = decode(recording, samples), recording.runs
        works = {
            "Decode": lambda: decode(recording, samples),
            "Live mask of one concept, once a step": lambda: live_mask(live_maps(recording, run, run.steps[1.0]), "concept 0", run.size),
            "Heatmap over the picture": lambda: heatmaps(maps, image),
            "Mask, one concept, soft": lambda: masks(maps, "concept 0", "soft", image=image),
            "Masks of all, soft": lambda: masks(maps, "*", "soft", image=image),
            "Masks of all, winner": lambda: masks(maps, "*", "winner", image=image),
            "Mask, feathered by 16 pixels": lambda: masks(maps, "concept 0", "soft", image=image, feather=16),
            "Segmentation": lambda: segment(maps, image),
            **{f"Mask, {said}": partial(masks, maps, "concept 0", image=image, **choices) for said, choices in DEAREST.items()},
        }
        for name, work in works.items():
            yield f"{side} x {side}, {number} concepts: {name}", median(work)


def loading():
    command = [sys.executable, Path(__file__).with_name("loading.py")]
    turns = [json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]) for _ in range(TURNS)]
    yield "ComfyUI loads an empty pack", middle([turn["empty"] for turn in turns])
    brought = ", ".join(turns[0]["brought"]) or "nothing"
    yield f"ComfyUI loads this pack, and {brought} that was not there", middle([turn["pack"] for turn in turns])
    for name, family in DEMO_FAMILIES.items():
        yield f"Demo model, {name}", median(family.load)


def median(work) -> float:
    times = []
    for _ in range(TURNS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return middle(times)


def middle(times) -> float:
    return sorted(times)[len(times) // 2]
