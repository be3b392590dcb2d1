from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..concept_core.maps.best import MIN_PRESENCE, scores
from . import validation
from .sockets import CATEGORY, Maps
from .told import Told

STOP, BEST = "stop with an error", "the best one"


class Best(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionBest",
            display_name="Best of a Batch",
            category=CATEGORY,
            description="Picks the pictures of a batch that show all that you name: let the sampler paint several and keep what came out.",
            search_aliases=["best of n", "filter batch", "select image", "rank images", "reject", "quality check", "presence"],
            is_output_node=True,
            inputs=[
                Maps.Input("maps", tooltip="From Decode or Load Concept Maps, of the whole batch."),
                io.String.Input(
                    "concepts",
                    default="*",
                    tooltip='What the picture has to show, separated by commas: all of them. "*" is every concept; "a + b" is either.',
                ),
                io.Float.Input(
                    "min_presence",
                    default=MIN_PRESENCE,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="The lowest presence that each of them may have. Presence is the number in a heatmap's label: near 0 where the "
                    "model sees the concept nowhere in the picture, if what else is there is named too.",
                ),
                io.Int.Input(
                    "max_count",
                    default=1,
                    min=0,
                    max=4096,
                    tooltip="The most pictures to give, the best first. 0 gives all that show everything.",
                ),
                io.Combo.Input(
                    "if_none",
                    options=[STOP, BEST],
                    default=STOP,
                    tooltip="What to do where no picture shows all of them. Stop says which one comes closest, and what it lacks. The best "
                    "one gives that picture out.",
                ),
                io.Latent.Input("samples", optional=True, tooltip="The latents of the same batch, to go on with those that are picked."),
                io.Image.Input("images", optional=True, tooltip="The pictures of the same batch."),
            ],
            outputs=[
                io.Latent.Output("samples", tooltip="The latents that are picked, the best first."),
                io.Image.Output("images", tooltip="The pictures that are picked, the best first."),
                io.Int.Output("indices", is_output_list=True, tooltip="Which ones they are, counted from 0 as in Latent From Batch."),
                io.Float.Output(
                    "presence",
                    is_output_list=True,
                    tooltip="For each picture of the batch, the presence of the named concept that it shows least.",
                ),
                io.Boolean.Output("present", is_output_list=True, tooltip="For each picture of the batch whether it shows all of them."),
            ],
        )

    @classmethod
    def validate_inputs(cls, concepts=None):
        return validation.passes(lambda: validation.chosen(concepts))

    @classmethod
    def execute(cls, maps, concepts, min_presence, max_count, if_none, samples=None, images=None):
        told = Told()
        found = scores(maps, concepts)
        for name, batch in (("samples", samples and samples["samples"]), ("images", images)):
            if batch is not None and len(batch) != len(found.lowest):
                raise ValueError(
                    f"{name}: a batch of {len(batch)} does not fit maps of {len(found.lowest)}. Connect the batch that was decoded."
                )
        picked = found.best(min_presence, max_count)
        if not picked:
            none = f"none of {len(found.lowest)} pictures shows all of {concepts}"
            closest = f"{found.closest()}, comes closest"
            if if_none == STOP:
                raise ValueError(
                    f"{none[0].upper()}{none[1:]}: {closest}. Queue another seed or a larger batch, lower min_presence, or set if_none to "
                    f'"{BEST}".'
                )
            told(f"{none}: {closest} and is given out.")
            picked = found.in_order()[:1]
        told(", ".join(f"picture {number + 1}: {found.lowest[number]:.2f}" for number in picked))
        present = [score >= min_presence for score in found.lowest]
        chosen = latents(samples, picked) if samples else not_connected("samples")
        shown = not_connected("images") if images is None else images[picked]
        return io.NodeOutput(chosen, shown, picked, found.lowest, present, ui=told.alone())


def latents(samples: dict, picked: list[int]) -> dict:
    """Those of a batch, with what belongs to each, as Latent From Batch gives them."""
    chosen, count = {**samples, "samples": samples["samples"][picked]}, len(samples["samples"])
    mask = samples.get("noise_mask")
    if mask is not None and len(mask) > 1:
        chosen["noise_mask"] = mask[[number % len(mask) for number in picked]]
    numbers = samples.get("batch_index", range(count))
    return {**chosen, "batch_index": [numbers[number] for number in picked]}


def not_connected(name: str) -> ExecutionBlocker:
    return ExecutionBlocker(f"Best of a Batch gives out {name} only if {name} are connected to it.")


NODES = [Best]
