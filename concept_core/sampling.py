"""The one module that hooks ComfyUI's sampler: it opens a run for every sampling and records the model's calls in it."""

import math

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from .concepts import Concepts
from .families import family_of
from .recording import Recording, Run
from .scores import SPACES, cross_scores, output_scores, value_scores


def record_concepts(model, concepts: Concepts, start_percent: float = 0.0, end_percent: float = 1.0, spaces: str = "output"):
    """A clone of a ComfyUI MODEL that records `concepts` whenever it samples, and its Recording.

    ValueError for a model family that is not supported, or concepts from a text encoder that does not fit it.
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
    recorder = Recorder(family, recording, start_percent, end_percent)
    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "concept_attention", recorder.outer_sample)
    model.add_wrapper_with_key(family.wrapper, "concept_attention", family.forward_with(recorder))
    return model, recording


def check_fit(concepts, family, network):
    width, needed = concepts.embeddings.shape[1], family.embedding_width(network)
    if concepts.encoder not in family.encoders or width != needed:
        raise ValueError(
            f"The concepts were encoded by {concepts.encoder} with width {width}, but this model ({family.name}) reads "
            f"{' or '.join(family.encoders)} with width {needed}: connect the CLIP that belongs to the model to Encode Concepts."
        )


class Recorder:
    """Belongs to one patched model: knows the run that is being sampled, if any."""

    def __init__(self, family, recording: Recording, start_percent: float, end_percent: float):
        self.family, self.recording = family, recording
        self.start_percent, self.end_percent = start_percent, end_percent
        self.run = self.guider = None

    def outer_sample(self, executor, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, *args, **kwargs):
        """OUTER_SAMPLE wrapper: a run is kept only if its sampling ends well."""
        enclosing = self.run, self.guider
        self.guider = executor.class_obj
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
            self.run, self.guider = enclosing
        run.latents.append(samples.detach().cpu().clone())
        if last_denoised is not None:  # SamplerCustomAdvanced gives this out too
            run.latents.append(patcher.model.process_latent_out(last_denoised.detach().cpu()).clone())
        self.recording.keep(run)
        return samples

    def new_run(self, noise, model_sampling):
        height, width = noise.shape[-2:]
        pixel = self.family.latent_pixel
        return Run(len(noise), self.grid(noise), (height * pixel, width * pixel), model_sampling.percent_to_sigma)

    def grid(self, latent) -> tuple[int, int]:
        """Rows and columns of image tokens; latent sizes that are no multiple of the patch are padded up."""
        return math.ceil(latent.shape[-2] / self.family.patch), math.ceil(latent.shape[-1] / self.family.patch)

    def positive_chunks(self, transformer_options) -> list[int]:
        """Which chunks of a model batch come from the guider's positive conditioning, wherever the guider puts it."""
        positive = {conditioning["uuid"] for conditioning in self.guider.conds["positive"]}
        return [chunk for chunk, uuid in enumerate(transformer_options["uuids"]) if uuid in positive]

    def open_call(self, x, transformer_options):
        """The call to record for a model input x, or None outside a sampling, its window, or on negative rows only."""
        if self.run is None:
            return None
        sigma = float(transformer_options["sigmas"][0])
        positive = self.positive_chunks(transformer_options)
        if not positive or not self.run.is_within(sigma, self.start_percent, self.end_percent):
            return None
        if self.grid(x) != self.run.grid:
            raise ValueError(
                f"Concept Attention cannot record a part of the picture: the model was called on {list(x.shape[-2:])} of the latent. "
                "Take out conditioning areas and context windows, or bypass the Apply node."
            )
        return Call(self.run, self.recording, sigma, rows_of(positive, self.run.batch), x)


def rows_of(chunks: list[int], batch: int):
    """Index of some chunks' rows in a model batch, which is chunk by chunk, picture by picture within it."""
    if len(chunks) == 1:
        return slice(chunks[0] * batch, (chunks[0] + 1) * batch)
    return torch.cat([torch.arange(chunk * batch, (chunk + 1) * batch) for chunk in chunks])


class Call:
    """One call of the model at one sigma: scores of its positive rows, block by block.

    rows: index of the positive rows in the batch; several positive chunks are averaged.
    embeddings: [rows, T, width], token_share: [C, T], on the device of the model's input x, embeddings in its type too.
    broken: set where a block gave no attention, after which nothing of the call is kept.
    """

    def __init__(self, run: Run, recording: Recording, sigma: float, rows, x: Tensor):
        self.run, self.recording, self.sigma, self.rows = run, recording, sigma, rows
        concepts = recording.concepts
        self.embeddings = concepts.embeddings.to(x.device, x.dtype).expand(len(x[rows]), -1, -1)
        self.token_share = concepts.token_share.to(x.device)
        self.image_tokens = run.grid[0] * run.grid[1]
        self.broken = False
        self.blocks: list[dict] = []

    def wants(self, space: str) -> bool:
        return space in self.recording.spaces

    def take(self, x):
        return x if x is None or len(x) == 1 else x[self.rows]

    def record(self, attended, image_out, concept_k, image_q, concept_v, image_v):
        scores = {"output": output_scores(self.token_share, attended, image_out)}
        if self.wants("cross-attention"):
            scores |= cross_scores(self.token_share, concept_k, image_q)
        if self.wants("value"):
            scores["value"] = value_scores(self.token_share, concept_v, image_v)
        self.blocks.append(scores)

    def close(self):
        """Hand the scores [blocks, B, C, N] of a whole call to the run."""
        if self.broken or len(self.blocks) != self.recording.depth:
            return
        scores = {space: torch.stack([block[space] for block in self.blocks]) for space in self.blocks[0]}
        self.run.add(self.sigma, {space: s.unflatten(1, (-1, self.run.batch)).mean(1).cpu() for space, s in scores.items()})
