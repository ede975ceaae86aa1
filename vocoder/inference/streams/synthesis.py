"""Live synthesis: a mel arrives in pieces, and audio is returned as soon as it is final."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from vocoder.errors import ConfigError, MelMismatchError
from vocoder.inference.streams.base import LiveStream
from vocoder.io.arrays import Array, float_tensor, like
from vocoder.streaming.chunks import Chunk, State
from vocoder.streaming.plan import Plan

Prepare = Callable[[Tensor], Tensor]
"""Checks one piece of a mel and converts it to the model's settings. Shape: [M, F] → same."""


class Stream(LiveStream[Array]):
    """A live stream from mel frames to audio, made by `Vocoder.stream`.

    The joined audio equals one call of the model on the whole mel, to rounding, however the mel is
    cut: nothing is approximated between pieces, and nothing is computed twice. `frames` counts the
    input, `samples` the output.
    """

    _content, _error = "the mel", MelMismatchError

    def __init__(self, plan: Plan, prepare: Prepare, *, device: torch.device, arrays: type) -> None:
        self.plan = plan
        self._prepare, self._device = prepare, device
        super().__init__(arrays)

    def push(self, piece: Array, *, f0: Array | None = None) -> Array:
        """Take the next frames of the mel and return the audio that is now final, maybe none.

        A stream that was made with `f0` needs it for every frame: Hz, 0 where unvoiced. Raises
        MelMismatchError or ConfigError for frames that do not fit the model or come after `flush`;
        the stream is then unchanged.

        Shape: piece [M, f], f0 [f], any f ≥ 0 → [t].
        """
        (audio,) = push_all([self], [piece], f0=None if f0 is None else [f0])
        return audio

    def _restart(self) -> None:
        self._batch, self._row = _Batch(self.plan.begin()), 0
        self.frames = self.samples = 0

    def _check(self, values: Tensor) -> Tensor:
        return self._prepare(values) if values.numel() else values

    def _advance(self, values: Tensor, *, last: bool) -> Tensor:
        assert last, "pieces go through push_all"
        empty: list[Chunk] = [None] * len(self.plan.inputs)
        (audio,) = _advance([self], [empty], last=True)
        return audio

    def _inputs(self, mel: Array, f0: Array | None) -> list[Chunk]:
        """The inputs of the plan, with a batch axis; None where there are no frames."""
        self._require_open()
        self._warn_once(mel)
        values = float_tensor(mel, self._content, self._error)
        inputs = {"mel": self._prepare(values)}
        frames = inputs["mel"].shape[-1]
        if ("f0" in self.plan.inputs) != (f0 is not None):
            fault = "needs f0 with every mel" if f0 is None else "takes no f0"
            raise ConfigError(f"this stream {fault}; it is set by Vocoder.stream(f0=…)")
        if f0 is not None:
            inputs["f0"] = float_tensor(f0, "f0", ConfigError)
            if list(inputs["f0"].shape) != [frames]:
                shape = list(inputs["f0"].shape)
                raise ConfigError(f"f0 has the shape {shape}, the mel {frames} frames")
        self._empty = like(values[..., :0], mel)
        # Copies, as the caller may use its buffer again before these frames have been computed.
        return [
            inputs[name][None].to(self._device, copy=True) if frames else None
            for name in self.plan.inputs
        ]


def push_all(
    streams: Sequence[Stream[Array]],
    mels: Sequence[Array],
    *,
    f0: Sequence[Array] | None = None,
) -> list[Array]:
    """Push one mel piece into each of several streams of one model; returns the audio of each.

    Streams whose states have equal shapes, which they have some time after their start, are
    computed as a batch if they get equally many frames. Each may be flushed, reset or left out
    without affecting the others. Raises as `Stream.push` does; all streams are then unchanged.
    """
    if not len(streams) == len(mels) == len(set(map(id, streams))) or len(f0 or mels) != len(mels):
        raise ConfigError(
            f"{len(streams)} streams, {len(mels)} mels: give one for each, each stream once"
        )
    if len({id(stream.plan) for stream in streams}) > 1:
        raise ConfigError("streams of different models cannot be pushed together")
    with ExitStack() as locked:
        for stream in sorted(streams, key=id):  # in one order, so that calls cannot deadlock
            locked.enter_context(stream._lock)
        pitches: Sequence[Array | None] = f0 or (None,) * len(mels)
        inputs = [s._inputs(m, p) for s, m, p in zip(streams, mels, pitches, strict=True)]
        made = _advance(streams, inputs, last=False)
        return [like(audio, mel) for audio, mel in zip(made, mels, strict=True)]


class _Batch:
    """States of streams that were computed together; each stream has the index of its row."""

    def __init__(self, states: list[State], size: int = 1) -> None:
        self.states, self.size = states, size

    @cached_property
    def shapes(self) -> Any:
        """Shapes of the states; streams of batches with equal shapes can be computed together."""
        return tuple(_shapes(state) for state in self.states)


def _advance(
    streams: Sequence[Stream[Array]], inputs: Sequence[list[Chunk]], *, last: bool
) -> list[Tensor]:
    """One step of every stream that has new frames; streams of equal shapes form a batch."""
    made = [torch.empty(0, device="cpu", dtype=torch.float32) for _ in streams]
    active = [number for number, chunks in enumerate(inputs) if last or chunks[0] is not None]
    groups: dict[Any, list[int]] = {}
    for number in active:
        chunk = inputs[number][0]
        frames = 0 if chunk is None else chunk.shape[-1]
        shapes = streams[number]._batch.shapes if len(active) > 1 else None
        groups.setdefault((frames, shapes), []).append(number)
    for (frames, _), group in groups.items():
        members = [streams[number] for number in group]
        # Either every input of every member has new frames, or none has.
        chunks = [
            _stack(parts) for parts in zip(*(inputs[number] for number in group), strict=True)
        ]
        with torch.inference_mode():
            audio, after = members[0].plan.step(_gather(members), chunks, last=last)
        batch = _Batch(after, len(members))
        for row, (number, stream) in enumerate(zip(group, members, strict=True)):
            stream._batch, stream._row = batch, row
            if audio is not None:
                made[number] = audio[row].flatten().clone()
            stream.frames += frames
            stream.samples += len(made[number])
    return made


def _gather(streams: Sequence[Stream[Array]]) -> Sequence[State]:
    """The states of some streams as one batch."""
    batch = streams[0]._batch
    rows = [stream._row for stream in streams if stream._batch is batch]
    if rows == list(range(batch.size)) and len(rows) == len(streams):
        return batch.states  # the streams of the last batch, in the same order
    rows_of = [tuple(_pick(s, stream._row) for s in stream._batch.states) for stream in streams]
    picked: Sequence[State] = _stack(rows_of)
    return picked


def _stack(states: Sequence[Any]) -> Any:
    first = states[0]
    if isinstance(first, Tensor):
        return torch.cat(list(states))
    if isinstance(first, tuple):
        return tuple(_stack(parts) for parts in zip(*states, strict=True))
    return first


def _pick(state: State, row: int) -> State:
    if isinstance(state, Tensor):
        return state[row : row + 1]
    return tuple(_pick(part, row) for part in state) if isinstance(state, tuple) else state


def _shapes(state: State) -> Any:
    """Shapes of all tensors in a state, without the batch; numbers as they are."""
    if isinstance(state, Tensor):
        return tuple(state.shape[1:])
    return tuple(map(_shapes, state)) if isinstance(state, tuple) else state


async def astream(
    stream: Stream[Array], mels: AsyncIterable[Array] | Iterable[Array]
) -> AsyncIterator[Array]:
    """Push mels into a stream as they arrive, flush it at the end, and yield the audio in between.

    Empty audio is not yielded. The network runs in another thread, so it does not block the event
    loop.
    """
    pieces = mels if isinstance(mels, AsyncIterable) else _as_async(mels)
    async for mel in pieces:
        audio = await asyncio.to_thread(stream.push, mel)
        if len(audio):
            yield audio
    rest = await asyncio.to_thread(stream.flush)
    if len(rest):
        yield rest


async def _as_async(mels: Iterable[Array]) -> AsyncIterator[Array]:
    for mel in mels:
        yield mel
