"""Live bandwidth extension: audio in as it comes, with an upper band as soon as that is final."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.arrays import Array, float_tensor, like
from vocoder.errors import AudioError
from vocoder.streaming.chunks import Chunk, State, require_channels, require_open
from vocoder.streaming.plan import Plan
from vocoder.streaming.polyphase import PolyphaseStream


class Stage(Protocol):
    """Something that audio runs through piece by piece. Shape: [1, 1, t] → [1, 1, t']."""

    def step(self, chunk: Chunk, *, last: bool = False) -> Chunk:
        """What is final with these samples; `last` ends the signal."""


class Planned:
    """One signal on its way through a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.states: list[State] = plan.begin()

    def step(self, *chunks: Chunk, last: bool = False) -> Chunk:
        """What is final with these samples of every input; `last` ends them."""
        made, self.states = self.plan.step(self.states, chunks, last=last)
        return made


class Chain:
    """One channel: `network` widens what `limit` leaves, `crossover` keeps what was there.

    `limit` and `crossover` may be left out. The signal is filled up with silence to a multiple of
    `multiple` samples, and its end cut off again.
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
        """Shape: [t] → [t']."""
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


class ExtensionStream:
    """A recording on its way through an extender, from its first sample to its last.

    Whatever the pieces, together they give the same: round(T * to / sample_rate) samples for T.
    Every channel is extended by itself, so equal channels stay equal to the last bit. Memory does
    not grow with time. `chain` makes what one channel runs through at `rate`, between conversions
    of the sample rate; None if there is nothing to extend. `resampling` are the settings of the
    first conversion.
    """

    _empty: Any  # of the kind and the shape that was pushed last
    _taken: int
    _made: int
    _ended: bool

    def __init__(
        self,
        chain: Callable[[], Chain] | None,
        *,
        sample_rate: int,
        rate: int,
        to: int,
        channels: int,
        device: torch.device,
        resampling: Mapping[str, Any],
    ) -> None:
        self.sample_rate, self.to, self.channels = sample_rate, to, channels
        self._new_chain, self._device = chain, device
        self._before = PolyphaseStream(sample_rate, rate if chain else to, **resampling)
        self._behind = PolyphaseStream(rate if chain else to, to)
        self.reset()

    def push(self, audio: Array) -> Array:
        """The audio that is final with this piece, maybe none; in the caller's kind.

        Raises AudioError for a piece with another number of channels, ConfigError after `flush`.
        Shape: [C, T], or [T] for one channel, any T ≥ 0 → same, another T.
        """
        require_open(self._ended)
        signal = float_tensor(audio, "the audio", AudioError)
        require_channels(signal, self.channels)
        self._empty = like(signal[..., :0], audio)
        return like(self._advance(signal, last=False), audio)

    def flush(self) -> Any:
        """The rest, in the kind that was pushed last. Only `reset` makes it usable again."""
        require_open(self._ended)
        rest = self._advance(torch.as_tensor(self._empty), last=True)
        self._ended = True
        return like(rest, self._empty)

    def reset(self) -> None:
        """Forget everything: the next sample is the first of another recording."""
        self._before.reset()
        self._behind.reset()
        self._chains = [self._new_chain() for _ in range(self.channels)] if self._new_chain else []
        self._empty = torch.empty(self.channels, 0)
        self._taken = self._made = 0
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()

    @torch.inference_mode()
    def _advance(self, audio: Tensor, *, last: bool) -> Tensor:
        """Shape: [C, t] or [t] → same, another t."""
        self._taken += audio.shape[-1]
        # A copy, as the caller may use its buffer again before these samples have been computed.
        rows = audio.reshape(self.channels, -1).to(self._device, copy=True)
        rows = self._before.push(rows, last=last)
        if self._chains:
            made = [c.step(row, last=last) for c, row in zip(self._chains, rows, strict=True)]
            rows = torch.stack(made)
        wide = self._behind.push(rows, last=last)
        if last:
            # Two conversions may round the length otherwise than one.
            total = round(self._taken * self.to / self.sample_rate)
            wide = F.pad(wide, (0, total - self._made - wide.shape[-1]))
        self._made += wide.shape[-1]
        return wide.reshape(*audio.shape[:-1], -1).clone()
