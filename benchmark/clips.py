"""What maps of clips take: bytes that a sampling keeps, and time and memory of masks along the edges of every frame."""

import time
from collections.abc import Iterator

import torch

from ..concept_core.maps.maps import Maps
from ..concept_core.masks.masks import masks
from ..concept_core.record.receiver import Receiver
from ..concept_core.recording.recording import Run
from ..concept_core.recording.scores import CROSS_SHARE
from .measure import peak_of

OUTPUT, CROSS = ("output",), ("cross-attention", CROSS_SHARE)
BLOCKS = {  # all of each model that are recorded, and what is kept of each
    "CogVideoX 5B": (42, OUTPUT),
    "HunyuanVideo": (20, OUTPUT),
    "HunyuanVideo 1.5": (54, OUTPUT),
    "Wan 2.1, 2.2, 14B": (40, CROSS),
}
CLIPS = ((81, 480, 832), (121, 720, 1280))  # frames, height, width
PIXELS, FRAMES = 16, 4  # in a token
CONCEPTS, STEPS = 4, 20


def grid(frames: int, height: int, width: int) -> tuple[int, int, int]:
    return (frames - 1) // FRAMES + 1, -(-height // PIXELS), -(-width // PIXELS)


def kept() -> Iterator[tuple[str, int, int, int]]:
    """(model and clip, bytes if all steps were kept in float32, bytes that are kept, steps that are)"""
    for clip in CLIPS:
        for name, (blocks, spaces) in BLOCKS.items():
            whole, run = recorded(clip, blocks, spaces)
            yield f"{name}, {described(clip)}", whole, run.score_nbytes, len(run.steps)


def recorded(clip, blocks: int, spaces: tuple[str, ...], steps: int = STEPS) -> tuple[int, Run]:
    """Of random numbers: what is kept of them depends on none. (bytes in float32, what a sampling keeps)"""
    run = Run(1, (grid(*clip)[0], clip[1] // 8, clip[2] // 8), grid(*clip), clip[1:], lambda percent: 1 - percent)
    receiver, generator, whole = Receiver(run), torch.Generator().manual_seed(0), 0
    shape = blocks, 1, CONCEPTS, grid(*clip)[0] * grid(*clip)[1] * grid(*clip)[2]
    for step in range(steps):
        scores = {space: torch.rand(shape, generator=generator) for space in spaces}
        whole += sum(each.nbytes for each in scores.values())
        receiver.add(torch.tensor(1 - step / steps), scores)
    receiver.settle()
    return whole, run


def masked(clip=CLIPS[-1], concepts: int = CONCEPTS) -> tuple[float, int, int]:
    """Of soft masks of all concepts along every frame's edges: (processor seconds, bytes at the peak beyond the masks, bytes of those)."""
    frames, height, width = clip
    generator = torch.Generator().manual_seed(0)
    values = torch.nn.functional.avg_pool2d(torch.randn(grid(*clip)[0], concepts, *grid(*clip)[1:], generator=generator), 9, 1, 4)
    maps = Maps((values * 60).softmax(1), tuple(f"concept {n}" for n in range(concepts)), concepts, True, (height, width), PIXELS, FRAMES)
    image = torch.empty(frames, height, width, 3)
    for frame in image:
        small = torch.rand(1, 3, height // PIXELS, width // PIXELS, generator=generator)
        frame.copy_(torch.nn.functional.interpolate(small, size=(height, width), mode="bicubic").clamp(0, 1)[0].movedim(0, -1))
    made = {}

    def work():
        started = time.process_time()
        made["masks"] = masks(maps, "*", "soft", image=image)
        made["seconds"] = time.process_time() - started

    peak, nbytes = peak_of(work), made["masks"].nbytes
    return made["seconds"], peak - nbytes, nbytes


def described(clip) -> str:
    frames, height, width = clip
    return f"{frames} frames of {width} x {height}"


def report() -> Iterator[str]:
    """Lines of Markdown."""
    yield f"| {CONCEPTS} concepts, all blocks, {STEPS} steps | in float32 | kept | means that are kept |\n|---|---|---|---|"
    for name, whole, held, steps in kept():
        yield f"| {name} | {whole / 1e6:.0f} MB | {held / 1e6:.0f} MB | {steps} |"
    seconds, peak, nbytes = masked()
    yield (
        f"\nSoft masks of {CONCEPTS} concepts along the edges of {described(CLIPS[-1])}: {seconds:.0f} s of the processor, "
        f"and {peak / 1e6:.0f} MB beyond the {nbytes / 1e6:.0f} MB of the masks."
    )
