"""Live bandwidth extension: audio arrives in pieces and is returned with an upper band."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import AudioError
from vocoder.inference.streams.base import LiveStream, require_channels
from vocoder.inference.streams.polyphase import PolyphaseStream
from vocoder.io.arrays import Array
from vocoder.streaming.chunks import Chunk, State
from vocoder.streaming.plan import Plan


class Stage(Protocol):
    """Interface of a stage that processes audio piece by piece. Shape: [1, 1, t] → [1, 1, t']."""

    def step(self, chunk: Chunk, *, last: bool = False) -> Chunk:
        """Output that is final with the next samples; `last` ends the signal."""


class Planned:
    """A plan with the states of one stream."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.states: list[State] = plan.begin()

    def step(self, *chunks: Chunk, last: bool = False) -> Chunk:
        """Output that is final with the next samples of every input; `last` ends them."""
        made, self.states = self.plan.step(self.states, chunks, last=last)
        return made


class Chain:
    """Extension of one channel: low-pass filter, network, and crossover with the recording.

    `limit` removes the band above the highest cutoff of the training data, `crossover` replaces
    the band below the cutoff by the recording; either may be left out. The signal is padded with
    silence to a multiple of `multiple` samples, and the output is cut to its length.
    """

    def __init__(
        self,
        network: Stage,
        *,
        multiple: int,
        limit: Plan | None = None,
        crossover: Plan | None = None,
    ) -> None:
        self.network, self.multiple = network, multiple
        self.limit = Planned(limit) if limit else None
        self.crossover = Planned(crossover) if crossover else None
        self.taken = self.made = 0

    def step(self, audio: Tensor, *, last: bool = False) -> Tensor:
        """Output that is final with the next samples.   Shape: [t] → [t']."""
        self.taken += len(audio)
        total = self.taken
        if last:
            audio = F.pad(audio, (0, -self.taken % self.multiple))
        recording: Chunk = audio[None, None].clone() if len(audio) else None
        narrow = self.limit.step(recording, last=last) if self.limit else recording
        wide = self.network.step(narrow, last=last)
        if self.crossover:
            wide = self.crossover.step(recording, wide, last=last)
        made = audio.new_empty(0) if wide is None else wide[0, 0, : total - self.made]
        self.made += len(made)
        return made


class ExtensionStream(LiveStream[Array]):
    """A live stream of bandwidth extension, made by `Extender.stream`.

    T samples give round(T * output_rate / sample_rate) samples in all. Every channel is extended
    independently, so equal channels stay equal to the last bit.

    Shape of a piece: [C, T], or [T] for one channel, any T ≥ 0 → same, another T.

    Args:
        new_chain: Makes the chain of one channel, between conversions of the sample rate; None if
            there is nothing to extend.
        sample_rate: Sample rate of the input in Hz.
        network_rate: Sample rate of the chain in Hz.
        output_rate: Sample rate of the output in Hz.
        channels: Number of channels of every piece.
        device: Device of the chain.
        resampling: Settings of the filter of the first conversion (`vocoder.dsp.resample`).
        arrays: Kind of array that `flush` returns where nothing was pushed.
    """

    _content, _error = "the audio", AudioError

    def __init__(
        self,
        new_chain: Callable[[], Chain] | None,
        *,
        sample_rate: int,
        network_rate: int,
        output_rate: int,
        channels: int,
        device: torch.device,
        resampling: Mapping[str, Any],
        arrays: type,
    ) -> None:
        self.sample_rate, self.output_rate, self.channels = sample_rate, output_rate, channels
        self._new_chain, self._device = new_chain, device
        between = network_rate if new_chain else output_rate
        self._before = PolyphaseStream(sample_rate, between, **resampling)
        self._behind = PolyphaseStream(between, output_rate)
        super().__init__(arrays)

    def _restart(self) -> None:
        self._before.reset()
        self._behind.reset()
        self._chains = [self._new_chain() for _ in range(self.channels)] if self._new_chain else []
        self._taken = self._made = 0

    def _reshaped(self, empty: Array) -> Array:
        return empty.reshape(self.channels, 0)

    def _check(self, values: Tensor) -> Tensor:
        require_channels(values, self.channels)
        return values

    @torch.inference_mode()
    def _advance(self, values: Tensor, *, last: bool) -> Tensor:
        self._taken += values.shape[-1]
        # A copy, as the caller may use its buffer again before these samples have been computed.
        rows = values.reshape(self.channels, -1).to(self._device, copy=True)
        rows = self._before.push(rows, last=last)
        if self._chains:
            made = [c.step(row, last=last) for c, row in zip(self._chains, rows, strict=True)]
            rows = torch.stack(made)
        wide = self._behind.push(rows, last=last)
        if last:
            # Two conversions may round the length differently from one.
            total = round(self._taken * self.output_rate / self.sample_rate)
            wide = F.pad(wide, (0, total - self._made - wide.shape[-1]))
        self._made += wide.shape[-1]
        return wide.reshape(*values.shape[:-1], -1).clone()
