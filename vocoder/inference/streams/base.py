"""What all live streams share: `push` pieces as they come, `flush` the end, `reset` to begin anew."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Generic, Self

import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError, VocoderError
from vocoder.io.arrays import Array, empty_array, float_tensor, like


class LiveStream(ABC, Generic[Array]):
    """A signal that goes in piece by piece and comes out as soon as it is final.

    Put together, the pieces that come out do not depend on how the input was cut. Memory and the
    time for a piece do not grow with time. A piece comes back as the kind of array that was pushed,
    on its device; the type parameter says which kind that is. One stream takes one call at a time,
    different streams may run in different threads. A `with` block resets the stream at its end.
    """

    _content: ClassVar[str]  # what a piece is called in messages
    _error: ClassVar[type[VocoderError]]  # what a piece that cannot be used raises
    _empty: Array  # no steps, of the kind and the shape that was pushed last

    def __init__(self, arrays: type) -> None:
        self._lock = threading.RLock()
        self._arrays = arrays  # the kind that `flush` gives where nothing was pushed
        self.reset()

    def push(self, piece: Array) -> Array:
        """Take the next piece and return what is final with it, maybe nothing.

        Raises ConfigError after `flush`, another VocoderError for a piece that does not fit; the
        stream is then as it was before.
        """
        with self._lock:
            values = self._accept(piece)
            return like(self._advance(values, last=False), piece)

    def flush(self) -> Array:
        """End the signal and return the rest, as the kind of array that was pushed last.

        Afterwards only `reset` makes the stream usable again.
        """
        with self._lock:
            self._require_open()
            rest = self._advance(self._check(torch.as_tensor(self._empty)), last=True)
            self._ended = True
            return like(rest, self._empty)

    def reset(self) -> None:
        """Forget everything: the next piece is the first of another signal."""
        with self._lock:
            self._ended = False
            self._empty = self._reshaped(empty_array(self._arrays))
            self._restart()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.reset()

    def _accept(self, piece: Array) -> Tensor:
        """Check a piece before anything moves, and remember its kind."""
        self._require_open()
        given = float_tensor(piece, self._content, self._error)
        values = self._check(given)
        self._empty = like(given[..., :0], piece)
        return values

    def _reshaped(self, empty: Array) -> Array:
        """An array without values in the shape of a piece; [0] unless a stream says otherwise."""
        return empty

    def _require_open(self) -> None:
        if self._ended:
            raise ConfigError("the stream was flushed; reset() lets it begin anew")

    @abstractmethod
    def _check(self, values: Tensor) -> Tensor:
        """The piece as `_advance` takes it, or an error."""

    @abstractmethod
    def _advance(self, values: Tensor, *, last: bool) -> Tensor:
        """What is final with this piece; with `last`, all that is left behind it."""

    @abstractmethod
    def _restart(self) -> None:
        """Put the state back to that of a stream that has not begun."""


def require_channels(values: Tensor, channels: int) -> None:
    """Raise AudioError unless it is [channels, T], or [T] for one channel."""
    leading = list(values.shape[:-1])
    if values.ndim == 0 or (leading != [channels] and (leading or channels > 1)):
        raise AudioError(
            f"this stream takes audio [{channels}, T]; this piece has the shape "
            f"{list(values.shape)}"
        )
