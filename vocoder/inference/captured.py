"""Generators and streams on a GPU, captured as CUDA graphs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.generators.base import Generator
from vocoder.inference.cuda_graphs import Capture, CudaCapture, Graphs, flatten, unflatten
from vocoder.inference.network import Eager, Network
from vocoder.streaming.chunks import Chunk, State
from vocoder.streaming.plan import Plan

_LONGEST = 2048  # frames of a batch: more take longer to compute than to launch
_SHORTEST = 32  # frames, the first bucket
_BUCKETS = 4  # for each doubling of the length: at most 19 % of a bucket are padding


class Reach(NamedTuple):
    """Frames before and after a frame on which its audio depends, at most."""

    before: int
    after: int


def captured_network(
    generator: Generator, device: torch.device, plan: Callable[[bool], Plan]
) -> Network:
    """The generator as it runs on a device: in CUDA graphs on a GPU, otherwise as written.

    `plan(f0)` is its plan as a stream, with or without F0; it may raise ConfigError.
    """
    if device.type != "cuda":
        return Eager(generator)
    return CapturedGenerator(generator, CudaCapture(device), lambda names: _reach(plan, names))


def captured_plan(plan: Plan, device: torch.device) -> Plan:
    """The plan as it runs on a device: in CUDA graphs on a GPU."""
    return CapturedPlan(plan, CudaCapture(device)) if device.type == "cuda" else plan


def _reach(plan: Callable[[bool], Plan], names: tuple[str, ...]) -> Reach | None:
    try:
        made = plan("f0" in names)
        size, after = made.receptive_field, made.lookahead
    except ConfigError:
        return None
    return None if size is None else Reach(size - 1, after)


def bucket(frames: int) -> int:
    """The smallest bucket of at least `frames` frames."""
    size = float(_SHORTEST)
    while round(size) < frames:
        size *= 2 ** (1 / _BUCKETS)
    return round(size)


class CapturedGenerator:
    """A generator in CUDA graphs, one for each batch size and bucket of lengths.

    Padding must not be heard: at its true end, a mel is followed by the zeros of every layer, not
    by more mel. So the mel padded to its bucket gives all audio but the last, which depends on what
    follows; that comes from a second graph, of the last frames with the frames before them on which
    their audio depends. Where it depends on all frames, as in a phase, or where a mel is shorter
    than the second graph, graphs are of single lengths. Long mels are computed as written.

    Args:
        generator: Generator, ready for inference on a GPU.
        capture: Records the graphs.
        reach: Frames on which audio depends, by the names of the features; None if on all.
    """

    path = "PyTorch, recurring lengths as CUDA graphs"

    def __init__(
        self,
        generator: Generator,
        capture: Capture,
        reach: Callable[[tuple[str, ...]], Reach | None],
    ) -> None:
        self.generator, self.graphs = generator, Graphs(capture)
        self._find_reach = reach
        self._reaches: dict[tuple[str, ...], Reach | None] = {}

    def __reduce__(self) -> tuple[type[Eager], tuple[Generator]]:
        """Graphs stay on their machine: a copy begins as written."""
        return Eager, (self.generator,)

    @torch.inference_mode()
    def __call__(self, **features: Tensor) -> Tensor:
        """Generate audio. Shape: features as of the generator → [B, C, T]."""
        batch, _, frames = features["mel"].shape
        size = bucket(frames)
        if batch * size > _LONGEST:
            return self._eager(**features)
        names = tuple(features)
        # The first call also fills caches, and one that is not repeated needs no reach.
        if not self.graphs.recurs((names, batch, size)):
            return self._eager(**features)
        if names not in self._reaches:
            self._reaches[names] = self._find_reach(names)
        reach = self._reaches[names]
        tail = 0 if reach is None else reach.before + 1 + reach.after
        if reach is None or frames <= tail:
            if not self.graphs.recurs((names, batch, frames, "exact")):
                return self._eager(**features)
            return self._captured(features)
        padded = {k: F.pad(x, (0, size - frames)) for k, x in features.items()}
        audio = self._captured(padded)
        if size == frames:
            return audio
        last = self._captured({k: x[..., frames - tail :] for k, x in features.items()})
        hop = self.generator.hop_length
        cut = (frames - reach.after) * hop
        return torch.cat([audio[..., :cut], last[..., cut - (frames - tail) * hop :]], dim=-1)

    def _eager(self, **features: Tensor) -> Tensor:
        audio: Tensor = self.generator(**features)
        return audio

    def _captured(self, features: dict[str, Tensor]) -> Tensor:
        names, given = tuple(features), [x.contiguous() for x in features.values()]

        def call(*values: Tensor) -> Tensor:
            return self._eager(**dict(zip(names, values, strict=True)))

        audio: Tensor = self.graphs.run((names, flatten(given, [])), call, given)
        return audio


class CapturedPlan(Plan):
    """A plan whose recurring steps are CUDA graphs: with states and inputs of the same shapes.

    Most steps of a stream are, some time after its start, if they have equally many frames. States
    are copied in and out, so that streams share the graphs; the kernels are those of `plan`, on
    tensors of the same layout, so that every bit of the result is.
    """

    def __init__(self, plan: Plan, capture: Capture) -> None:
        vars(self).update(vars(plan))
        self._plan, self.graphs = plan, Graphs(capture)

    @torch.inference_mode()
    def step(
        self, states: Sequence[State], inputs: Sequence[Chunk], *, last: bool = False
    ) -> tuple[Chunk, list[State]]:
        """Output that is final with the next chunk of every input, and the states after it."""
        given: list[Tensor] = []
        key = flatten((list(states), list(inputs), last), given)
        if not given or not self.graphs.recurs(key):
            return self._plan.step(states, inputs, last=last)

        def step(*tensors: Tensor) -> tuple[Chunk, list[State]]:
            before, chunks, _ = unflatten(key, iter(tensors))
            return self._plan.step(before, chunks, last=last)

        made: tuple[Chunk, list[State]] = self.graphs.run(key, step, given)
        return made
