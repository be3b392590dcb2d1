"""What is heard of the model while it runs: one call of it, and the step that its calls make up."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..recording.recording import Recording, Run
from ..recording.scores import cross_scores, output_scores, value_scores
from ..recording.vectors import Vectors, free_on_host, in_16_bit
from .areas import average, is_whole
from .memory import spare_the_picture


@dataclass
class Step:
    """One pass over all conditionings at one sigma.

    On CUDA nothing in it waits for the device in the plain case: one prompt for the whole picture, all of the schedule, no vectors and
    no preview. Scores of several prompts, or of one for a part of the picture, are averaged on the host.

    index: of the positive conditionings among all. parts: uuid → Part, for those that are active.
    size: height and width of the latent. pieces: uuid → space → scores [blocks, B, C, n] of a conditioning's part.
    vectors: those to keep, if there are any.
    """

    sigma: Tensor
    index: int
    parts: dict
    size: tuple[int, int]
    pieces: dict = field(default_factory=dict)
    vectors: Vectors | None = None

    def is_whole(self) -> bool:
        """Whether a single conditioning is for the whole picture."""
        return len(self.parts) == 1 and all(is_whole(part, self.size) for part in self.parts.values())

    def scores(self, patch: int) -> dict[str, Tensor] | None:
        """space → scores [blocks, B, C, N] of the whole picture; None unless every part was heard."""
        if not self.parts or self.pieces.keys() != self.parts.keys():
            return None
        if self.is_whole():
            (scores,) = self.pieces.values()
            return scores
        spaces = next(iter(self.pieces.values()))
        heard = {space: [(self.parts[uuid], piece[space].cpu()) for uuid, piece in self.pieces.items()] for space in spaces}
        return {space: average(pieces, self.size, patch) for space, pieces in heard.items()}


class Call:
    """One call of the model: scores and, where wanted, vectors of its positive rows, block by block.

    chunks: (number, uuid) of the positive chunks in the model batch, which is chunk by chunk, picture by picture within.
    image_tokens: how many tokens the picture, or its part, has. embeddings [T, width] and token_share [C, T]: on the model's device.
    broken: set where a block gave no attention, after which nothing of the call is kept.
    """

    def __init__(self, recording: Recording, run: Run, step: Step, chunks, grid, embeddings: Tensor, token_share: Tensor):
        self.recording, self.run, self.step, self.chunks = recording, run, step, chunks
        self.rows = rows_of([chunk for chunk, _ in chunks], run.batch, embeddings.device)
        self.image_tokens = grid[0] * grid[1]
        self.embeddings, self.token_share = embeddings, token_share
        self.broken = False
        self.blocks: list[dict] = []
        self.kept: list[tuple[Tensor, Tensor]] = []

    def concepts(self, dtype) -> Tensor:
        """Their embeddings [recorded rows, T, width]."""
        return self.embeddings.to(dtype).expand(len(self.chunks) * self.run.batch, -1, -1)

    def wants(self, space: str) -> bool:
        return space in self.recording.spaces

    def take(self, x):
        """The recorded rows of what has one row for all or one for each."""
        return x if x is None or len(x) == 1 else x[self.rows]

    def break_off(self, reason: str):
        self.broken = True
        self.blocks.clear()
        self.kept.clear()
        self.run.missed = reason

    @contextmanager
    def spare_the_picture(self):
        with spare_the_picture(self.run):
            yield
        self.broken = self.broken or bool(self.run.given_up)

    def record(self, attended, image_out, concept_k, image_q, concept_v, image_v):
        scores = {"output": output_scores(self.token_share, attended, image_out, self.recording.normalises_concepts)}
        if self.wants("cross-attention"):
            scores |= cross_scores(self.token_share, concept_k, image_q)
        if self.wants("value"):
            scores["value"] = value_scores(self.token_share, concept_v, image_v)
        if len(self.blocks) in self.recording.kept_blocks and not self.run.vectors_gone:
            self.kept.append((in_16_bit(attended), in_16_bit(image_out)))
        self.blocks.append(scores)

    def close(self):
        """Hand the scores [blocks, B, C, n] of every chunk to the step, if the call is whole."""
        if self.broken:
            return
        if len(self.blocks) != self.recording.depth:
            self.break_off("the model's blocks were skipped or run otherwise, by a cache or by another patch: take that out of the model")
            return
        for space in self.blocks[0]:
            scores = torch.stack([block[space] for block in self.blocks])
            for (_, uuid), chunk in zip(self.chunks, scores.unflatten(1, (-1, self.run.batch)).unbind(1)):
                self.step.pieces.setdefault(uuid, {})[space] = chunk
        if self.kept and free_on_host() < sum(vector.nbytes for vectors in self.kept for vector in vectors):
            self.run.let_vectors_go("RAM ran short while they were kept")
        elif self.kept:
            self.step.vectors = Vectors(float(self.step.sigma), *(torch.stack(vectors) for vectors in zip(*self.kept)))


def rows_of(chunks: list[int], batch: int, device):
    """Index of some chunks' rows in a model batch."""
    first, last = chunks[0], chunks[-1]
    if chunks == list(range(first, last + 1)):
        return slice(first * batch, (last + 1) * batch)
    return torch.cat([torch.arange(chunk * batch, (chunk + 1) * batch, device=device) for chunk in chunks])
