"""The one module that hooks ComfyUI's sampler: it opens a run for every sampling and records the model's calls in it."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from comfy.model_management import discard_cuda_async_error
from comfy.patcher_extension import WrappersMP
from comfy.samplers import get_area_and_mult
from torch import Tensor

from .concepts import Concepts
from .families import family_of
from .parts import Part, average, is_whole, token_grid
from .recording import Recording, Run
from .scores import SPACES, cross_scores, value_scores
from .taps import tap_blocks

KEY = "concept_attention"
WEIGHED_BY = ("area", "strength", "mask", "mask_strength", "timestep_start", "timestep_end", "uuid")


def record_concepts(
    model, concepts: Concepts, start_percent: float = 0.0, end_percent: float = 1.0, spaces: str = "output", stop_early: bool = False
):
    """A clone of a ComfyUI MODEL that records `concepts` whenever it samples, and its Recording.

    stop_early: leave out the blocks after the last one that is heard; the model's output is of no use then. ValueError for a
    model family that is not supported, or concepts from a text encoder that does not fit it.
    """
    if start_percent >= end_percent:
        raise ValueError(f"start_percent ({start_percent:g}) must be below end_percent ({end_percent:g}).")
    family = family_of(model)
    network = model.get_model_object("diffusion_model")
    check_fit(concepts, family, network)
    depth = family.depth(network)
    recording = Recording(
        concepts=concepts,
        spaces=SPACES if spaces == "all" else tuple(spaces.split(" + ")),
        depth=depth,
        default_blocks=family.default_blocks(depth),
        pixels_per_token=family.latent_pixel * family.patch,
    )
    recorder = Recorder(family, recording, start_percent, end_percent, family.later_blocks(network) if stop_early else [])
    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, recorder.outer_sample)
    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, recorder.predict_noise)
    model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, recorder.calc_cond_batch)
    model.add_wrapper_with_key(family.wrapper, KEY, family.forward_with(recorder))
    return model, recording


def check_fit(concepts, family, network):
    width, needed = concepts.embeddings.shape[1], family.embedding_width(network)
    if concepts.encoder not in family.encoders or width != needed:
        raise ValueError(
            f"The concepts were encoded by {concepts.encoder} with width {width}, but this model ({family.name}) reads "
            f"{' or '.join(family.encoders)} with width {needed}: connect the CLIP that belongs to the model to Encode Concepts."
        )


class Recorder:
    """Belongs to one patched model: knows the run that is being sampled and the step that is being predicted, if any."""

    def __init__(self, family, recording: Recording, start_percent: float, end_percent: float, left_out: list):
        self.family, self.recording, self.left_out = family, recording, left_out
        self.start_percent, self.end_percent = start_percent, end_percent
        self.run = self.guider = self.step = None
        self.heard = False

    def outer_sample(self, executor, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, *args, **kwargs):
        """OUTER_SAMPLE wrapper: a run is kept only if its sampling ends well."""
        enclosing = self.run, self.guider, self.step
        self.guider, self.step = executor.class_obj, None
        patcher = self.guider.model_patcher
        self.run = run = self.new_run(noise, patcher.get_model_object("model_sampling"))
        last_denoised = None

        def keep_denoised(step, denoised, x, total_steps):
            nonlocal last_denoised
            last_denoised = denoised
            if callback is not None:
                callback(step, denoised, x, total_steps)

        try:
            samples = executor(noise, latent_image, sampler, sigmas, denoise_mask, keep_denoised, *args, **kwargs)
        finally:
            self.run, self.guider, self.step = enclosing
        run.latents.append(samples.detach().cpu().clone())
        if last_denoised is not None:  # SamplerCustomAdvanced gives this out too
            run.latents.append(patcher.model.process_latent_out(last_denoised.detach().cpu()).clone())
        self.recording.keep(run)
        return samples

    def new_run(self, noise, model_sampling):
        size, pixel = tuple(noise.shape[-2:]), self.family.latent_pixel
        return Run(len(noise), size, self.grid(noise), (size[0] * pixel, size[1] * pixel), model_sampling.percent_to_sigma)

    def grid(self, latent) -> tuple[int, int]:
        return token_grid(latent.shape[-2:], self.family.patch)

    def predict_noise(self, executor, *args, **kwargs):
        """PREDICT_NOISE wrapper: of one prediction the first pass over the positive conditioning counts.

        Skip-layer guidance and the like make another pass through a model that they have hobbled.
        """
        self.heard = False
        return executor(*args, **kwargs)

    def calc_cond_batch(self, executor, model, conds, x_in, timestep, model_options):
        """CALC_COND_BATCH wrapper: one pass over all conditionings, in one or more calls of the model."""
        self.step = self.open_step(model, conds, x_in, timestep)
        try:
            out = executor(model, conds, x_in, timestep, model_options)
            if self.step is not None:
                with spare_the_picture(self.run):
                    self.run.add(self.step.sigma, self.step.scores(self.family.patch))
        finally:
            self.step = None
        return out

    def open_step(self, model, conds, x_in, timestep):
        """The step to record, or None where there is nothing to: outside a sampling, its window, or without positive."""
        if self.run is None or self.run.given_up or self.heard or model is not self.guider.inner_model:
            return None
        sigma = float(timestep[0])
        if not self.run.is_within(sigma, self.start_percent, self.end_percent):
            return None
        index = self.positive_index(conds)
        if index is None:
            self.run.missed = self.run.missed or "the guider never predicted from all of its positive conditioning: use another guider"
            return None
        if len(x_in) != self.run.batch or tuple(x_in.shape[-2:]) != self.run.size:
            raise part_of_the_picture(x_in)
        self.heard = True
        return Step(sigma, index, parts_of(conds[index], x_in, timestep), self.run.size)

    def positive_index(self, conds):
        """Where in the guider's list of conditionings its positive one is: not every guider puts it first."""
        if "positive" not in self.guider.conds:
            raise ValueError(
                f"Concept Attention does not know which conditioning of {type(self.guider).__name__} is the positive one. "
                "Use another guider, or bypass the Apply node."
            )
        positive = uuids(self.guider.conds["positive"])
        return next((i for i, conditionings in enumerate(conds) if conditionings and uuids(conditionings) == positive), None)

    @contextmanager
    def listening(self, x, transformer_options, new_stream):
        """Around one call of the model: transformer options that record it where there is something to record.

        new_stream: Call → the family's Stream.
        """
        call = None
        with spare_the_picture(self.run):
            call = self.open_call(x, transformer_options)
            stream = call and new_stream(call)
        if call is None or call.run.given_up:
            yield transformer_options
            return
        yield tap_blocks(transformer_options, stream, call, self.left_out)
        with call.spare_the_picture():
            call.close()

    def open_call(self, x, transformer_options):
        """The call to record for a model input x, or None if it holds nothing of the step's positive conditioning."""
        step = self.step
        if step is None or self.run.given_up:
            return None
        named = zip(transformer_options["cond_or_uncond"], transformer_options["uuids"])
        chunks = [(chunk, uuid) for chunk, (index, uuid) in enumerate(named) if index == step.index and uuid in step.parts]
        if not chunks:
            return None
        size = step.parts[chunks[0][1]].size
        if tuple(x.shape[-2:]) != size or len(x) != len(transformer_options["uuids"]) * self.run.batch:
            raise part_of_the_picture(x)
        return Call(self.family, self.recording, self.run, step, chunks, token_grid(size, self.family.patch), x.device)


def uuids(conditionings):
    return {conditioning["uuid"] for conditioning in conditionings}


def part_of_the_picture(x):
    return ValueError(
        f"Concept Attention cannot record a part of the picture, or one that changes its size: the model was called on {list(x.shape)}, "
        "as context windows, tiled sampling and samplers that enlarge the latent do. Take that out, or bypass the Apply node."
    )


def parts_of(conditionings, x_in, timestep) -> dict:
    """uuid → Part of every conditioning that is active at `timestep`, with the weights that ComfyUI gives it."""
    parts, left_over = {}, []
    for conditioning in conditionings:
        plain = {key: conditioning[key] for key in WEIGHED_BY if key in conditioning}
        weighed = get_area_and_mult({**plain, "model_conds": {}}, x_in, timestep)
        if weighed is not None:
            top, left = weighed.area[2:] if weighed.area is not None else (0, 0)
            parts[conditioning["uuid"]] = Part(top, left, weighed.mult[:, 0])
            if "default" in conditioning:
                left_over.append(conditioning["uuid"])
    if left_over:
        defaults = [parts.pop(uuid) for uuid in left_over]
        weight = torch.ones_like(defaults[0].weight)
        for part in parts.values():
            weight[:, part.top : part.top + part.size[0], part.left : part.left + part.size[1]] -= part.weight
        weight = weight.relu()
        if weight.any():
            parts |= {uuid: Part(0, 0, weight) for uuid in left_over}
    return parts


@dataclass
class Step:
    """One pass over all conditionings at one sigma.

    index: of the positive conditionings among all. parts: uuid → Part, for those that are active.
    size: height and width of the latent. pieces: uuid → space → scores [blocks, B, C, n] of a conditioning's part.
    """

    sigma: float
    index: int
    parts: dict
    size: tuple[int, int]
    pieces: dict = field(default_factory=dict)

    def scores(self, patch: int) -> dict[str, Tensor] | None:
        """space → scores [blocks, B, C, N] of the whole picture; None unless every part was heard."""
        if not self.parts or self.pieces.keys() != self.parts.keys():
            return None
        heard = [(self.parts[uuid], piece) for uuid, piece in self.pieces.items()]
        if len(heard) == 1 and is_whole(heard[0][0], self.size):
            return heard[0][1]
        return {space: average([(part, piece[space]) for part, piece in heard], self.size, patch) for space in heard[0][1]}


class Call:
    """One call of the model: scores of its positive rows, block by block.

    chunks: (number, uuid) of the positive chunks in the model batch, which is chunk by chunk, picture by picture within.
    image_tokens: how many tokens the picture, or its part, has.
    broken: set where a block gave no attention, after which nothing of the call is kept.
    """

    def __init__(self, family, recording: Recording, run: Run, step: Step, chunks, grid, device):
        self.family, self.recording, self.run, self.step, self.chunks = family, recording, run, step, chunks
        self.rows = rows_of([chunk for chunk, _ in chunks], run.batch, device)
        self.image_tokens = grid[0] * grid[1]
        self.device, self.token_share = device, recording.concepts.token_share.to(device)
        self.broken = False
        self.blocks: list[dict] = []

    def embeddings(self, dtype) -> Tensor:
        """[recorded rows, T, width]"""
        return self.recording.concepts.embeddings.to(self.device, dtype).expand(len(self.chunks) * self.run.batch, -1, -1)

    def wants(self, space: str) -> bool:
        return space in self.recording.spaces

    def take(self, x):
        """The recorded rows of what has one row for all or one for each."""
        return x if x is None or len(x) == 1 else x[self.rows]

    def break_off(self, reason: str):
        self.broken = True
        self.blocks.clear()
        self.run.missed = reason

    @contextmanager
    def spare_the_picture(self):
        with spare_the_picture(self.run):
            yield
        self.broken = self.broken or bool(self.run.given_up)

    def record(self, attended, image_out, concept_k, image_q, concept_v, image_v):
        scores = {"output": self.family.output_scores(self.token_share, attended, image_out)}
        if self.wants("cross-attention"):
            scores |= cross_scores(self.token_share, concept_k, image_q)
        if self.wants("value"):
            scores["value"] = value_scores(self.token_share, concept_v, image_v)
        self.blocks.append(scores)

    def close(self):
        """Hand the scores [blocks, B, C, n] of every chunk to the step, if the call is whole."""
        if self.broken:
            return
        if len(self.blocks) != self.recording.depth:
            self.break_off("the model's blocks were skipped or run otherwise, by a cache or by another patch: take that out of the model")
            return
        for space in self.blocks[0]:
            scores = torch.stack([block[space].cpu() for block in self.blocks])
            for (_, uuid), chunk in zip(self.chunks, scores.unflatten(1, (-1, self.run.batch)).unbind(1)):
                self.step.pieces.setdefault(uuid, {})[space] = chunk


@contextmanager
def spare_the_picture(run: Run):
    """Out of memory in here ends the run's recording, not its sampling; Decode tells."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        run.give_up("memory ran out while recording")


def is_out_of_memory(error: Exception) -> bool:
    """CUDA has a class for it; CPUs and Apple's GPUs say it in a RuntimeError, each in its own words."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    if isinstance(error, getattr(torch, "AcceleratorError", ())):
        discard_cuda_async_error()  # or the next kernel of the picture raises it again
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in words)


def rows_of(chunks: list[int], batch: int, device):
    """Index of some chunks' rows in a model batch."""
    first, last = chunks[0], chunks[-1]
    if chunks == list(range(first, last + 1)):
        return slice(first * batch, (last + 1) * batch)
    return torch.cat([torch.arange(chunk * batch, (chunk + 1) * batch, device=device) for chunk in chunks])
