"""The one module that hooks ComfyUI's sampler: it opens a run for every sampling and records the model's calls in it."""

import torch
from comfy.patcher_extension import WrappersMP

from .concepts import Concepts
from .families import family_of
from .recording import Recording, Run
from .scores import SPACES, cross_scores, output_scores, value_scores

POSITIVE = 0


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
        pixels_per_token=family.pixels_per_token,
    )
    recorder = Recorder(family, recording, start_percent, end_percent)
    model = model.clone()
    model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "concept_attention", recorder.outer_sample)
    model.add_wrapper_with_key(family.wrapper, "concept_attention", family.forward_with(recorder))
    return model, recording


def check_fit(concepts, family, network):
    width, needed = concepts.embeddings.shape[1], family.embedding_width(network)
    if concepts.encoder != family.encoder or width != needed:
        raise ValueError(
            f"The concepts were encoded by {concepts.encoder} with width {width}, but this model ({family.name}) reads "
            f"{family.encoder} with width {needed}: connect the CLIP that belongs to the model to Encode Concepts."
        )


class Recorder:
    """Belongs to one patched model: knows the run that is being sampled, if any."""

    def __init__(self, family, recording: Recording, start_percent: float, end_percent: float):
        self.family, self.recording = family, recording
        self.start_percent, self.end_percent = start_percent, end_percent
        self.run = None

    def outer_sample(self, executor, noise, latent_image, sampler, sigmas, denoise_mask=None, callback=None, *args, **kwargs):
        """OUTER_SAMPLE wrapper: a run is kept only if its sampling ends well."""
        patcher = executor.class_obj.model_patcher
        sampling = patcher.get_model_object("model_sampling")
        enclosing = self.run
        self.run = run = self.new_run(noise, sampling.percent_to_sigma)
        self.first_sigma, self.last_sigma = map(sampling.percent_to_sigma, (self.start_percent, self.end_percent))
        last_denoised = None

        def keep_denoised(step, denoised, x, total_steps):
            nonlocal last_denoised
            last_denoised = denoised
            if callback is not None:
                callback(step, denoised, x, total_steps)

        try:
            samples = executor(noise, latent_image, sampler, sigmas, denoise_mask, keep_denoised, *args, **kwargs)
        finally:
            self.run = enclosing
        run.latents.append(samples.detach().cpu().clone())
        if last_denoised is not None:  # SamplerCustomAdvanced gives this out too
            run.latents.append(patcher.model.process_latent_out(last_denoised.detach().cpu()).clone())
        self.recording.keep(run)
        return samples

    def new_run(self, noise, percent_to_sigma):
        height, width = noise.shape[-2:]
        latent_pixel = self.family.pixels_per_token // 2
        return Run(
            batch=len(noise),
            grid=self.family.grid(noise.shape),
            image_size=(height * latent_pixel, width * latent_pixel),
            percent_to_sigma=percent_to_sigma,
        )

    def open_call(self, x, transformer_options):
        """The call to record for a model input x, or None outside a sampling, its window, or on negative rows only."""
        if self.run is None:
            return None
        sigma = float(transformer_options["sigmas"][0])
        chunks = transformer_options["cond_or_uncond"]
        if not self.last_sigma <= sigma <= self.first_sigma or POSITIVE not in chunks:
            return None
        if self.family.grid(x.shape) != self.run.grid:
            raise ValueError(
                f"Concept Attention cannot record a part of the picture: the model was called on {list(x.shape[-2:])} of the latent. "
                "Take out conditioning areas and context windows, or bypass the Apply node."
            )
        return Call(self.run, self.recording, sigma, positive_rows(chunks, len(x)))


def positive_rows(chunks, rows):
    """The rows of positive chunks in a model batch: a batch is chunk by chunk, picture by picture within it."""
    size = rows // len(chunks)
    positive = [i for i, chunk in enumerate(chunks) if chunk == POSITIVE]
    if len(positive) == 1:
        return slice(positive[0] * size, (positive[0] + 1) * size)
    return torch.cat([torch.arange(i * size, (i + 1) * size) for i in positive])


class Call:
    """One call of the model at one sigma: scores of its positive rows, block by block.

    rows: index of the positive rows in the batch; several positive chunks are averaged.
    broken: set where a block gave no attention, after which nothing of the call is kept.
    """

    def __init__(self, run: Run, recording: Recording, sigma: float, rows):
        self.run, self.recording, self.sigma, self.rows = run, recording, sigma, rows
        self.image_tokens = run.grid[0] * run.grid[1]
        self.broken = False
        self.blocks: list[dict] = []

    def wants(self, space: str) -> bool:
        return space in self.recording.spaces

    def take(self, x):
        return x if x is None or len(x) == 1 else x[self.rows]

    def embeddings(self, x):
        """[rows, T, width] on the device and in the type of the model input x."""
        concepts = self.recording.concepts
        self.token_share = concepts.token_share.to(x.device)
        rows = len(x[self.rows])
        return concepts.embeddings.to(x.device, x.dtype).expand(rows, -1, -1)

    def record(self, index, attended, image_out, concept_k, image_q, concept_v, image_v):
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
