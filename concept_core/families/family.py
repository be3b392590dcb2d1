"""What a model family's file says of a model, and what is the same for all of them."""

import inspect
import math
from collections.abc import Callable
from functools import partial

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..recording.grid import Size, grid
from ..recording.recipe import UNPUBLISHED, Recipe
from ..recording.scores import SPACES
from .prompt_words import copies_of


class Family:
    """A ComfyUI MODEL of one family.

    name: with the variants it covers. key: of one word. encoders: the text encoders that can read concepts for it, by name.
    clip_hint: how a user gets such a CLIP. clip_type: what ComfyUI's loaders call its type.
    wrapper: the kind of ComfyUI's wrappers around what is called with the latent.
    patch: latent pixels across one image token. frames_per_latent: of a clip, how many frames each frame of its latent but the first
    one stands for; 0 where there are no clips. spaces: in which there are scores, the one that maps are made in first.
    normalises_concepts: whether a concept's output vector is scaled to length 1 before the dot product. recipe: how the family's
    authors make maps of its scores. hears_prompt_words: whether the prompt's own words can be concepts. sums_prompt_words: whether what is
    kept of those is DAAM's sum over all steps.
    """

    name: str
    key: str
    encoders: tuple[str, ...]
    clip_hint: str
    clip_type: str
    wrapper: str = WrappersMP.DIFFUSION_MODEL
    normalises_concepts = False
    spaces: tuple[str, ...] = SPACES
    recipe: Recipe = UNPUBLISHED
    frames_per_latent = 0
    hears_prompt_words = True
    sums_prompt_words = False

    def __init__(self, model):
        self.network = model.get_model_object("diffusion_model")
        self.latent_format = model.get_model_object("latent_format")

    @staticmethod
    def matches(model) -> bool:
        raise NotImplementedError

    @property
    def patch(self) -> int:
        return self.network.patch_size

    @property
    def embedding_width(self) -> int:
        """Of a concept token, as the text encoder gives it."""
        raise NotImplementedError

    @property
    def width(self) -> int:
        """Of an output vector, heads joined."""
        return self.network.hidden_size

    @property
    def depth(self) -> int:
        """How many blocks have a concept output."""
        raise NotImplementedError

    @property
    def single_blocks(self) -> int:
        """How many blocks after those can be recorded too, if a user wants them."""
        return 0

    @property
    def default_blocks(self) -> range:
        """For blocks that go to the end of a network, where nothing is published."""
        return later_two_thirds(self.depth)

    @property
    def later_blocks(self) -> list[tuple[str, int]]:
        """Those after the last one with a concept output, as keys of ComfyUI's block replacements."""
        return []

    def prompt_given(self, inputs: dict, forward) -> Tensor:
        """[B, tokens, width], as prompt_read has it; inputs: as new_stream has them."""
        return inputs["context"]

    def prompt_read(self, network, forward, dtype) -> Tensor:
        """[T, width], the prompt whose words are heard, as the network is to be given it."""
        return forward.on_device.embeddings

    def as_authors_encode(self, options: dict) -> dict:
        """A conditioning's options, changed as the authors' code has them when it encodes pictures."""
        return options

    def new_stream(self, network, forward, inputs: dict):
        """The concept stream of one forward pass. inputs: what the network was called with, by name."""
        raise NotImplementedError

    @property
    def latent_pixel(self) -> int:
        """Pixels across one latent pixel."""
        return self.latent_format.spacial_downscale_ratio

    @property
    def pixels_per_token(self) -> int:
        return self.latent_pixel * self.patch

    @property
    def patch_frames(self) -> int:
        """Frames of a latent in one image token."""
        return 1

    @property
    def patches(self) -> Size:
        """Frames, rows and columns of a latent in one image token."""
        return self.patch_frames, self.patch, self.patch

    def token_grid(self, latent: Tensor) -> Size:
        """Frames, rows and columns of image tokens of a latent; sizes that are no multiple of the patch are padded up."""
        frames, rows, columns = grid(size_of(latent), self.patches)
        return frames, rows, columns

    def tokens_of(self, latents: list[Tensor] | None) -> int:
        """How many image tokens latents have together."""
        return sum(math.prod(self.token_grid(latent)) for latent in latents or [])

    def network_of(self, called):
        """The network; called: what the wrapper lies around. It may be a copy on another device."""
        return called if self.wrapper == WrappersMP.DIFFUSION_MODEL else called.diffusion_model

    def forward_with(self, listening: Callable):
        """A wrapper: the model's own call, with the concept stream beside it where `listening` finds something to record."""

        def forward(executor, *args, **kwargs):
            signature = inspect.signature(executor.original)
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            inputs = {**call.arguments, **call.arguments.get("kwargs", {})}

            def new_stream(forward_pass):
                network = self.network_of(executor.class_obj)
                network = getattr(network, "_orig_mod", network)  # torch.compile's wrapper may lie around it
                if forward_pass.recording.concepts.of_prompt:
                    given = self.prompt_given(inputs, forward_pass)
                    forward_pass.copies = copies_of(forward_pass, given, partial(self.prompt_read, network, forward_pass))
                return self.new_stream(network, forward_pass, inputs)

            with listening(inputs["x"], inputs["transformer_options"], new_stream) as options:
                by_position = list(signature.parameters)[: len(args)]
                if "transformer_options" in by_position:  # others' wrappers find it where they did
                    place = by_position.index("transformer_options")
                    return executor(*args[:place], options, *args[place + 1 :], **kwargs)
                return executor(*args, **{**kwargs, "transformer_options": options})

        return forward


def size_of(latent: Tensor) -> Size:
    """Of [B, channels, h, w], which has one frame, or [B, channels, t, h, w]."""
    return math.prod(latent.shape[2:-2]), latent.shape[-2], latent.shape[-1]


def is_network(model, module: str, name: str) -> bool:
    """Whether a MODEL's network is of that class of ComfyUI's, and of none made of it."""
    kind = type(model.get_model_object("diffusion_model"))
    return (kind.__module__, kind.__name__) == (module, name)


def later_two_thirds(depth: int) -> range:
    """In the first third of a network text and picture have hardly met."""
    return range(depth // 3, depth)
