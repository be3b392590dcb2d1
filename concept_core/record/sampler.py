"""Hooks ComfyUI's sampler: opens a run for every sampling and records the model's forward passes in it."""

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from comfy.samplers import CFGGuider
from comfy_execution.utils import get_executing_context
from torch import Tensor

from ..concepts.concepts import Concepts
from ..families.family import Family, size_of
from ..families.joint import Attend, attend
from ..families.registry import family_of
from ..recording.blocks import parse_blocks
from ..recording.recording import Recording, Run
from ..recording.scores import ATTENDS_TO, PROMPT_WORDS
from ..recording.vectors import BYTES
from ..recording.window import check_window
from .areas import areas_of
from .forward_pass import ForwardPass, OnDevice, Step
from .live import Live
from .memory import make_room, spare_the_picture
from .preview import Draw, Preview
from .receiver import Receiver
from .regions import REGION, resolved

KEY = "concept_attention"


def record_concepts(
    model: ModelPatcher,
    concepts: Concepts,
    *,
    start_percent: float = 0.0,
    end_percent: float = 1.0,
    spaces: str = "auto",
    keep_vectors: str = "",
    single_blocks: bool = False,
    stop_early: bool = False,
    attends_to: tuple[str, ...] = ATTENDS_TO,
    later_heads: bool = False,
    preview: Draw | None = None,
    given_out: Tensor | None = None,
    attend: Attend = attend,
    observe: Callable[[dict[str, Tensor], Tensor, Tensor], None] | None = None,
) -> tuple[ModelPatcher, Recording]:
    """A clone of a ComfyUI MODEL that records `concepts` whenever it samples, and its Recording.

    spaces: "auto", "all", or names joined by " + ". keep_vectors: blocks, as parse_blocks reads them, whose output vectors are kept too;
    "" for none. single_blocks: the family's are recorded too. stop_early: leave out the blocks after the last one that is heard; the
    model's output is of no use then. attends_to: for the paper's ablation, what the concepts attend to. later_heads:
    of prompt words in a U-Net the second half of each layer's heads alone, as in the authors' baseline. attend: the concepts'
    attention, where another is to be tried. preview: draws what is shown while sampling. given_out: a latent that a sampling is to be
    found by, beside those that the sampler gives out. observe: is called with each block's space → scores, concept_out and image_out.
    ValueError for a model family that is not supported, concepts from a text encoder that does not fit it, or a space or single blocks
    that it does not have.
    """
    check_window(start_percent, end_percent)
    family = family_of(model)
    check_fit(concepts, family)
    if keep_vectors.strip() and (concepts.of_prompt or "output" not in family.spaces):
        what = "words of the prompt have" if concepts.of_prompt else f"{family.name} has"
        raise ValueError(f"keep_vectors: {what} no output vectors. Leave it empty.")
    if concepts.of_prompt and not family.hears_prompt_words:
        raise ValueError(f"Prompt Words cannot be used with {family.name}: name concepts with Encode Concepts, which shows them sharper.")
    summed = bool(concepts.of_prompt) and family.sums_prompt_words
    if summed and preview:
        raise ValueError("preview: maps of prompt words are there when the sampling has ended. Turn it off.")
    if single_blocks and not family.single_blocks:
        raise ValueError(f"single_blocks: {family.name} has no single blocks that can be recorded. Switch it off.")
    single = family.single_blocks if single_blocks else 0
    depth = family.depth + single
    recording = Recording(
        concepts=concepts,
        spaces=(PROMPT_WORDS,) if concepts.of_prompt else chosen_spaces(spaces, family),
        summed=summed,
        depth=depth,
        default_blocks=family.default_blocks,
        pixels_per_token=family.pixels_per_token,
        frames_per_latent=family.frames_per_latent,
        normalises_concepts=family.normalises_concepts,
        recipe=family.recipe,
        attends_to=attends_to,
        later_heads=later_heads,
        kept_blocks=tuple(parse_blocks(keep_vectors, depth, family.default_blocks, "keep_vectors", single)) if keep_vectors.strip() else (),
        single_blocks=single,
    )
    left_out = family.later_blocks if stop_early and not single else []
    recorder = Recorder(family, recording, (start_percent, end_percent), left_out, preview, given_out, attend, observe)
    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, recorder.outer_sample)
    model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, KEY, recorder.predict_noise)
    model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, recorder.calc_cond_batch)
    model.add_wrapper_with_key(family.wrapper, KEY, family.forward_with(recorder.listening))
    return model, recording


def chosen_spaces(spaces: str, family: Family) -> tuple[str, ...]:
    """spaces: "auto" for the family's first, "all", or names joined by " + "."""
    if spaces in ("auto", "all"):
        return family.spaces if spaces == "all" else family.spaces[:1]
    chosen = tuple(spaces.split(" + "))
    missing = [space for space in chosen if space not in family.spaces]
    if missing:
        raise ValueError(f"spaces: {family.name} has no {missing[0]} space, only {' and '.join(family.spaces)}. Set spaces to auto.")
    return chosen


def check_fit(concepts: Concepts, family: Family):
    width = concepts.embeddings.shape[1]
    if concepts.encoder not in family.encoders or width != family.embedding_width:
        raise ValueError(
            f"The concepts were encoded by {concepts.encoder} with width {width}, but this model ({family.name}) reads "
            f"{' or '.join(family.encoders)} with width {family.embedding_width}: connect the CLIP that belongs to the model to "
            "Encode Concepts."
        )


@dataclass
class Sampling:
    """One run of a sampler: what fills its Run, the guider that it asks, and the live maps that steer it."""

    receiver: Receiver
    guider: CFGGuider
    live: Live

    def index_of(self, which: str, conds) -> int | None:
        """Where in the guider's list of conditionings its positive one is, or its negative: not every guider puts it first."""
        if "positive" not in self.guider.conds:
            raise ValueError(
                f"Concept Attention does not know which conditioning of {type(self.guider).__name__} is the positive one. "
                "Use another guider, or bypass the Apply node."
            )
        wanted = uuids(self.guider.conds.get(which, []))
        return next((i for i, conditionings in enumerate(conds) if conditionings and uuids(conditionings) == wanted), None)

    def why_not(self, which: str) -> str:
        if which == "negative":
            return "the sampler never asked the model about its negative prompt, which it does where cfg is above 1: raise it"
        if not self.guider.conds["positive"]:
            return "the sampler's positive prompt holds no conditioning at all: connect an encoded prompt, which may be empty text"
        return "the guider never predicted from all of its positive conditioning: use another guider"


class Recorder:
    """Belongs to one patched model: knows the sampling that goes on and the step that is being predicted, if any."""

    def __init__(self, family: Family, recording: Recording, window: tuple[float, float], left_out: list, draw, given_out, attend, observe):
        self.family, self.recording, self.window, self.left_out = family, recording, window, left_out
        self.draw, self.given_out, self.attend, self.observe = draw, given_out, attend, observe
        self.on_host, self.on_device = OnDevice.of(recording.concepts), dict[torch.device, OnDevice]()
        self.sampling: Sampling | None = None
        self.step: Step | None = None
        self.heard = False

    @property
    def live(self) -> Live:
        """Of the sampling that goes on."""
        if self.sampling is None:
            raise RuntimeError("Concept Attention: no sampling goes on.")
        return self.sampling.live

    def outer_sample(self, executor, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, *args, **kwargs):
        """OUTER_SAMPLE wrapper: a run is kept only if its sampling ends well."""
        enclosing = self.sampling, self.step
        patcher = executor.class_obj.model_patcher
        run = self.new_run(noise, patcher.get_model_object("model_sampling"))
        receiver = Receiver(run)
        live = Live(self.recording, receiver, latent_image, noise)
        self.sampling, self.step = Sampling(receiver, executor.class_obj, live), None
        if self.given_out is None and not noise.any():  # KSamplerAdvanced without noise of its own
            run.went_on_with = latent_image.detach().cpu().clone()
        unfinished = bool(sigmas[-1] > 0)  # uni_pc writes into it
        last_denoised = None
        preview = None

        def keep_denoised(step, denoised, x, total_steps):
            nonlocal last_denoised
            last_denoised = denoised
            if callback is not None:
                callback(step, denoised, x, total_steps)
            if preview is not None:
                with spare_the_picture(receiver):
                    preview.show(receiver, denoised, step, live.acting())

        try:
            if self.draw:
                preview = Preview(self.recording, patcher, len(sigmas) - 1, self.draw)
            if self.recording.kept_blocks:
                make_room(self.recording, self.nbytes_of_vectors(run, sigmas))
            samples = executor(noise, latent_image, sampler, sigmas, denoise_mask, keep_denoised, *args, **kwargs)
            live.tell()
        finally:
            self.sampling, self.step = enclosing
            self.on_device.clear()
        with spare_the_picture(receiver):
            receiver.settle()
            if self.recording.summed:
                receiver.settle_words(self.recording.concepts.token_weights[:, self.on_host.used_tokens])
        run.latents.append(samples.detach().cpu().clone())
        if last_denoised is not None:  # SamplerCustomAdvanced gives this out too
            run.latents.append(patcher.model.process_latent_out(last_denoised.detach().cpu()).clone())
        if unfinished:
            run.beginning = tuple(part.detach().cpu().clone() for part in live.beginning())
        if self.given_out is not None:
            run.latents.append(self.given_out.detach().cpu().clone())
        self.recording.keep(run)
        return samples

    def new_run(self, noise: Tensor, model_sampling) -> Run:
        size, pixel = size_of(noise), self.family.latent_pixel
        if size[0] > 1 and not self.family.frames_per_latent:
            raise ValueError(
                f"Concept Attention does not record clips or layers of {self.family.name}, and this latent {list(noise.shape)} has "
                f"{size[0]} of them: bypass the Apply node."
            )
        image_size = (size[1] * pixel, size[2] * pixel)
        return Run(len(noise), size, self.family.token_grid(noise), image_size, model_sampling.percent_to_sigma, origin=running_node())

    def nbytes_of_vectors(self, run: Run, sigmas) -> int:
        """About how many bytes of vectors a sampling keeps: samplers that call the model twice a step keep up to twice as many."""
        steps = sum(run.is_within(float(sigma), *self.window) for sigma in sigmas[:-1])
        tokens = math.prod(run.grid) + len(self.recording.concepts.embeddings)
        return steps * len(self.recording.kept_blocks) * run.batch * tokens * self.family.width * BYTES

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
            if self.sampling is not None:
                conds = resolved(conds, x_in, timestep, self.sampling.live)
            out = executor(model, conds, x_in, timestep, model_options)
            if self.step is not None:
                with spare_the_picture(self.step.receiver):
                    self.step.close(self.family.patches)
        finally:
            self.step = None
        return out

    def open_step(self, model, conds, x_in, timestep) -> Step | None:
        """The step to record, or None where there is nothing to: outside a sampling, its window, or without positive."""
        sampling = self.sampling
        if sampling is None or sampling.receiver.run.abort_reason or self.heard or model is not sampling.guider.inner_model:
            return None
        run, sigma = sampling.receiver.run, timestep[0]
        if self.window != (0, 1) and not run.is_within(float(sigma), *self.window):
            return None
        which = self.recording.concepts.of_prompt or "positive"
        index = sampling.index_of(which, conds)
        if index is None:
            run.skip(sampling.why_not(which))
            return None
        if len(x_in) != run.batch or size_of(x_in) != run.size:
            raise not_the_whole_picture(x_in)
        self.heard = True
        areas = areas_of([c for c in conds[index] if REGION not in c], x_in, timestep)
        if not areas:
            run.skip(f"none of the {which} conditionings was active in a step: widen their timestep ranges")
        weights_change = any("hooks" in conditioning for conditionings in conds for conditioning in conditionings or [])
        step = Step(sampling.receiver, sigma, index, areas, weights_change)
        for_one = [(bool(self.recording.kept_blocks), "keep_vectors", "leave keep_vectors of the Apply node empty")]
        for_one += [(bool(self.recording.concepts.of_prompt), "Prompt Words", "name concepts with Encode Concepts")]
        for needs_one, what, mend in for_one:
            if needs_one and step.areas and not step.is_whole():
                raise ValueError(
                    f"{what} is for one {which} prompt over the whole picture, and here are several, or one for a part of it. "
                    f"Give the sampler one prompt, or {mend}."
                )
        return step

    @contextmanager
    def listening(self, x: Tensor, transformer_options: dict, new_stream: Callable):
        """Around one call of the model: transformer options that record it where there is something to record.

        new_stream: ForwardPass → the family's stream.
        """
        stream = None
        if self.step is not None:
            with spare_the_picture(self.step.receiver):
                forward = self.open_forward_pass(self.step, x, transformer_options)
                if forward is not None:
                    stream = new_stream(forward)
        if stream is None:
            yield transformer_options
            return
        yield stream.hook(transformer_options, self.left_out)
        with stream.forward.spare_the_picture():
            stream.forward.close()

    def open_forward_pass(self, step: Step, x: Tensor, transformer_options: dict) -> ForwardPass | None:
        """What is to be recorded of a call with x, or None if it holds nothing of the step's positive conditioning."""
        run = step.receiver.run
        if run.abort_reason:
            return None
        named = zip(transformer_options["cond_or_uncond"], transformer_options["uuids"])
        chunks = [(chunk, uuid) for chunk, (index, uuid) in enumerate(named) if index == step.index and uuid in step.areas]
        if not chunks:
            return None
        if size_of(x) != step.areas[chunks[0][1]].size or len(x) != len(transformer_options["uuids"]) * run.batch:
            raise not_the_whole_picture(x)
        tokens = math.prod(self.family.token_grid(x))
        return ForwardPass(self.recording, step, chunks, tokens, self.concepts_on(x.device), self.attend, self.observe)

    def concepts_on(self, device: torch.device) -> OnDevice:
        """Moved there once in a sampling."""
        if device not in self.on_device:
            self.on_device[device] = self.on_host.to(device)
        return self.on_device[device]


def running_node() -> tuple[str, str] | None:
    """The queue and the node that ComfyUI runs now; None where it runs none."""
    context = get_executing_context()
    return context and (context.prompt_id, context.node_id)


def uuids(conditionings):
    """Of those that act everywhere: regions come and go."""
    return {conditioning["uuid"] for conditioning in conditionings if REGION not in conditioning}


def not_the_whole_picture(x):
    return ValueError(
        f"Concept Attention cannot record a part of the picture, or one that changes its size: the model was called on {list(x.shape)}, "
        "as context windows, tiled sampling and samplers that enlarge the latent do. Take that out, or bypass the Apply node."
    )
