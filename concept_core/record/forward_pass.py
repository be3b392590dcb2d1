"""What is heard of the model while it runs: one forward pass of it, and the step that its passes make up."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..concepts.concepts import Concepts
from ..recording.grid import Size
from ..recording.recording import Recording
from ..recording.vectors import Vectors, free_on_host, in_16_bit
from .areas import Area, average, is_whole
from .memory import spare_the_picture
from .receiver import Receiver

SKIPPED_BLOCKS = "the model's blocks were skipped or run otherwise, by a cache or by another patch: take that out of the model"


@dataclass
class Step:
    """One pass over all conditionings at one sigma.

    On CUDA nothing in it waits for the device in the plain case: one prompt for the whole picture, all of the schedule, no vectors and
    no preview. Scores of several prompts, or of one for a part of the picture, are averaged on the host.

    index: of the positive conditionings among all. areas: uuid → Area, for those that are active. pieces: uuid → space → scores
    [blocks, B, C, n] of a conditioning's area.
    vectors: those to keep, if there are any. sums: those of prompt words, where they are heard. weights_change: hooks of conditionings
    may give the model other weights from call to call.
    """

    receiver: Receiver
    sigma: Tensor
    index: int
    areas: dict[object, Area]
    weights_change: bool = False
    pieces: dict = field(default_factory=dict)
    vectors: Vectors | None = None
    sums: list[list[Tensor]] | None = None

    def is_whole(self) -> bool:
        """Whether a single conditioning is for the whole picture."""
        return len(self.areas) == 1 and all(is_whole(area, self.receiver.run.size) for area in self.areas.values())

    def scores(self, patches: Size) -> dict[str, Tensor] | None:
        """space → scores [blocks, B, C, N] of the whole picture; None unless every area was heard. patches: as average has them."""
        if not self.areas or self.pieces.keys() != self.areas.keys():
            return None
        if self.is_whole():
            (scores,) = self.pieces.values()
            return scores
        spaces = next(iter(self.pieces.values()))
        heard = {space: [(self.areas[uuid], piece[space].cpu()) for uuid, piece in self.pieces.items()] for space in spaces}
        return {space: average(pieces, self.receiver.run.size, patches) for space, pieces in heard.items()}

    def close(self, patches: Size):
        """Hand over what was heard of it, if all was."""
        if self.sums is not None and not self.receiver.run.abort_reason:
            self.receiver.add_up(self.sigma, self.sums)
        scores = self.scores(patches)
        if scores is not None and not self.receiver.run.abort_reason:
            self.receiver.add(self.sigma, scores, self.vectors)


@dataclass(frozen=True)
class OnDevice:
    """Concepts where the model computes: embeddings [T, width], token_weights [C, T] or None where each has one token and is no word of
    a prompt, positions [T].

    sequences: each concept's whole text [L, width], of which its tokens lie in its span (start, stop), where a model refines texts.
    used_tokens: [T'], the numbers of those tokens that belong to a concept, where others do not.
    """

    embeddings: Tensor
    token_weights: Tensor | None
    positions: Tensor | None
    sequences: tuple[Tensor, ...]
    spans: tuple[tuple[int, int], ...]
    used_tokens: Tensor
    refiner_ids: tuple[Tensor, ...] = ()
    refiner_weights: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, concepts: Concepts) -> "OnDevice":
        """On the host."""
        counts = (concepts.token_weights > 0).sum(1).tolist()
        one_each = not concepts.of_prompt and torch.equal(concepts.token_weights, torch.eye(len(concepts.names)))
        weights = None if one_each else concepts.token_weights
        spans = tuple((start, start + count) for start, count in zip(concepts.starts, counts))
        used_tokens = concepts.token_weights.any(0).nonzero()[:, 0]
        refiner = concepts.refiner_ids, concepts.refiner_weights
        return cls(concepts.embeddings, weights, concepts.positions, concepts.sequences, spans, used_tokens, *refiner)

    def to(self, device: torch.device) -> "OnDevice":
        return replace(
            self,
            embeddings=self.embeddings.to(device),
            token_weights=None if self.token_weights is None else self.token_weights.to(device),
            positions=None if self.positions is None else self.positions.to(device),
            sequences=tuple(sequence.to(device) for sequence in self.sequences),
            used_tokens=self.used_tokens.to(device),
            refiner_ids=tuple(ids.to(device) for ids in self.refiner_ids),
            refiner_weights=tuple(weights.to(device) for weights in self.refiner_weights),
        )


class ForwardPass:
    """One call of the model: scores and, where wanted, vectors of its positive rows, block by block.

    chunks: (number, uuid) of the positive chunks in the model batch, which is chunk by chunk, picture by picture within.
    image_tokens: how many tokens the picture, or its part, has. copies: how often the prompt stands in what the model
    reads. is_over: set where a block gave no attention or memory ran out, after which nothing of the pass is kept. attend: the concepts'
    attention. observe: is given each block's scores, concept_out and image_out, if anyone wants them.
    """

    def __init__(self, recording: Recording, step: Step, chunks, image_tokens: int, concepts: OnDevice, attend, observe=None):
        self.recording, self.receiver, self.step, self.chunks = recording, step.receiver, step, chunks
        self.attend, self.observe = attend, observe
        self.rows = rows_of([chunk for chunk, _ in chunks], self.receiver.run.batch, concepts.embeddings.device)
        self.image_tokens, self.on_device, self.copies = image_tokens, concepts, 1
        self.is_over = False
        self.blocks: list[dict[str, Tensor]] = []
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.sums: list[list[Tensor]] = []

    @property
    def token_weights(self) -> Tensor | None:
        return self.on_device.token_weights

    def concepts(self, dtype) -> Tensor:
        """Their embeddings [recorded rows, T, width]."""
        return self.on_device.embeddings.to(dtype).expand(len(self.chunks) * self.receiver.run.batch, -1, -1)

    def once_a_sampling(self, key, make: Callable[[], Tensor]) -> Tensor:
        """What depends on concepts and weights alone. Layers whose weights are loaded as they are used are spared a second load."""
        if self.step.weights_change:
            return make()
        made, key = self.receiver.made, (key, self.on_device.embeddings.device)
        if key not in made:
            made[key] = make()
        return made[key]

    def wants(self, space: str) -> bool:
        return space in self.recording.spaces

    def take(self, x):
        """The recorded rows of what has one row for all or one for each."""
        return x if x is None or len(x) == 1 else x[self.rows]

    def skip(self, reason: str):
        """Keep nothing of this pass; Decode tells why where nothing else was recorded."""
        self.is_over = True
        self.blocks.clear()
        self.kept.clear()
        self.sums.clear()
        self.receiver.run.skip(reason)

    @contextmanager
    def spare_the_picture(self):
        with spare_the_picture(self.receiver):
            yield
        self.is_over = self.is_over or bool(self.receiver.run.abort_reason)

    def record(self, scores: dict[str, Tensor], concept_out: Tensor | None = None, image_out: Tensor | None = None):
        """One block's space → scores [rows, C, N], and the vectors [rows, T, D] and [rows, N, D] in output space, where there is one."""
        if self.observe:
            self.observe(scores, concept_out, image_out)
        if concept_out is not None and len(self.blocks) in self.recording.kept_blocks and not self.receiver.run.vectors_gone:
            self.kept.append((in_16_bit(concept_out), in_16_bit(image_out)))
        self.blocks.append(scores)

    def close(self):
        """Hand the scores [blocks, B, C, n] of every chunk to the step, if the pass is whole."""
        if self.is_over:
            return
        if len(self.sums if self.recording.summed else self.blocks) != self.recording.depth:
            self.skip(SKIPPED_BLOCKS)
            return
        if self.recording.summed:
            self.step.sums = self.sums
            return
        for space in self.blocks[0]:
            scores = torch.stack([block[space] for block in self.blocks])
            for (_, uuid), chunk in zip(self.chunks, scores.unflatten(1, (-1, self.receiver.run.batch)).unbind(1)):
                self.step.pieces.setdefault(uuid, {})[space] = chunk
        if self.kept and free_on_host() < sum(vector.nbytes for vectors in self.kept for vector in vectors):
            self.receiver.run.let_vectors_go("RAM ran short while they were kept")
        elif self.kept:
            self.step.vectors = Vectors(float(self.step.sigma), *(torch.stack(vectors) for vectors in zip(*self.kept)))


def rows_of(chunks: list[int], batch: int, device):
    """Index of some chunks' rows in a model batch."""
    first, last = chunks[0], chunks[-1]
    if chunks == list(range(first, last + 1)):
        return slice(first * batch, (last + 1) * batch)
    return torch.cat([torch.arange(chunk * batch, (chunk + 1) * batch, device=device) for chunk in chunks])
