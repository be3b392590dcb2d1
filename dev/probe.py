"""Call a model at chosen latents and noise levels, through ComfyUI's own guider and sampler."""

import comfy.samplers
import torch


def conditioning(context, pooled, **options):
    return [[context, {"pooled_output": pooled, **options}]]


def call_at(model, positive, latents, sigmas, negative=(), cfg=1.0):
    """The guider's denoised output for each latent (the model's own input) at its sigma; and what the sampler gives out."""
    outputs = []

    def visit(model_k, noise, sigmas, extra_args, callback, disable):
        for latent, sigma in zip(latents, sigmas):
            outputs.append(model_k(latent, sigma.expand(len(latent)), **extra_args))
        return latents[-1]

    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, list(negative))
    guider.set_cfg(cfg)
    empty = torch.zeros_like(latents[0])
    samples = guider.sample(empty, empty, comfy.samplers.KSAMPLER(visit), torch.tensor(sigmas))
    return outputs, samples
