"""The ways to get maps that are compared: these nodes', the authors' and DAAM's, as plain restatements on the same hooks."""

import torch

from ..concept_core.families import joint
from ..concept_core.families.registry import family_of
from ..concept_core.families.unet import UNet, transformers_of
from ..concept_core.record.sampler import record_concepts

WAYS = ("nodes", "authors", "probabilities", "words")
ROWS_AT_ONCE = 1024


def model_of(way: str, model, concepts, prompt_tokens: int, kept: list, **choices):
    """(a MODEL that records in that way, its Recording if it has one); what it keeps beside goes to `kept`. concepts: for "words" those
    of the prompt."""
    if way == "probabilities":
        if isinstance(family_of(model), UNet):
            return with_sums(model, kept), None
        return with_probabilities(model, prompt_tokens, kept), None
    if way in ("nodes", "words"):
        return record_concepts(model, concepts, **choices)

    def keep(scores, *vectors):
        keep_vectors(vectors, kept)

    return record_concepts(model, concepts, **choices, attend=attend_with_every_row, observe=keep)


def attend_with_every_row(concept_q, concept_k, concept_v, image_k, image_v, attends_to=joint.ATTENDS_TO):
    """As the authors' code: image rows attend to concepts and image as well, and only the concepts' rows are used.

    The image's keys stand in for its queries, which are of the same size.
    """
    q, k, v = torch.cat((concept_q, image_k), 2), torch.cat((concept_k, image_k), 2), torch.cat((concept_v, image_v), 2)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    return out[:, :, : concept_q.shape[2]].transpose(1, 2).flatten(2)


def keep_vectors(vectors, kept: list):
    """As the authors' code: output vectors and queries of concepts and image go to the host in every block and step.

    A second copy stands in for the queries, which are of the same size.
    """
    kept.extend(vector.detach().cpu().clone() for vector in (*vectors, *vectors) if vector is not None)  # there are none in cross-attention


def with_probabilities(model, prompt_tokens: int, kept: list):
    """As DAAM: attention is not fused, and its probabilities from image to prompt are kept, the mean over heads."""
    model = model.clone()

    def attention(function, q, k, v, heads, *args, **kwargs):
        if not kwargs.get("skip_reshape"):
            q, k, v = (joint.split_heads(x, heads) for x in (q, k, v))
        rows, means = [], []
        for part in q.split(ROWS_AT_ONCE, 2):
            probabilities = (part @ k.transpose(2, 3) / part.shape[-1] ** 0.5).softmax(-1)
            rows.append(probabilities @ v)
            means.append(probabilities[..., :prompt_tokens].mean(1))
        kept.append(torch.cat(means, 1)[:, prompt_tokens:].cpu())
        return torch.cat(rows, 2).transpose(1, 2).flatten(2)

    model.model_options = {**model.model_options}
    options = model.model_options["transformer_options"] = {**model.model_options.get("transformer_options", {})}
    options[joint.OVERRIDE] = attention
    return model


def with_sums(model, kept: list):
    """As DAAM on a U-Net: cross-attention is not fused, and of each layer the sum over all calls is kept, of every head and every token."""
    model, places = model.clone(), {}

    def attention(q, k, v, layer):
        q, k, v = (joint.split_heads(x, layer["n_heads"]) for x in (q, k, v))
        probabilities = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).softmax(-1)
        place = places.setdefault((layer["block"], layer["block_index"]), len(places))
        if place < len(kept):
            kept[place] += probabilities
        else:
            kept.append(probabilities.clone())
        return (probabilities @ v).transpose(1, 2).flatten(2)

    for block in transformers_of(model.model.diffusion_model):
        model.set_model_patch_replace(attention, "attn2", *block)
    return model
