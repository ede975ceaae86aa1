"""Base class of live streams: `push` pieces as they arrive, `flush` at the end, `reset`."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Generic, NoReturn, Self

import torch
from torch import Tensor

from vocoder.errors import AudioError, ConfigError, VocoderError
from vocoder.inference.gradients import warn_of_gradients
from vocoder.io.arrays import Array, empty_array, float_tensor, like


class LiveStream(ABC, Generic[Array]):
    """Base class of streams that take a signal piece by piece and return output once it is final.

    The joined output does not depend on how the input was cut. Memory and the time for a piece do
    not grow with time. The output has the array kind of the piece that was pushed, which is the
    type parameter, and its device. One stream takes one call at a time, different streams may run
    in different threads. A `with` block resets the stream at its end.
    """

    _content: ClassVar[str]  # name of a piece in error messages
    _error: ClassVar[type[VocoderError]]  # raised for a piece that cannot be used
    _empty: Array  # no steps, of the kind and the shape that was pushed last

    def __init__(self, arrays: type) -> None:
        self._lock = threading.RLock()
        self._arrays = arrays  # the kind that `flush` gives where nothing was pushed
        self.reset()

    def push(self, piece: Array) -> Array:
        """Take the next piece of the signal and return the output that is now final, maybe none.

        Raises ConfigError after `flush`, another VocoderError for a piece that does not fit; the
        stream is then unchanged.
        """
        with self._lock:
            values = self._accept(piece)
            return like(self._advance(values, last=False), piece)

    def flush(self) -> Array:
        """End the signal and return the remaining output, as the kind of array pushed last.

        Afterwards only `reset` makes the stream usable again.
        """
        with self._lock:
            self._require_open()
            rest = self._advance(self._check(_as_tensor(self._empty)), last=True)
            self._ended = True
            return like(rest, self._empty)

    def reset(self) -> None:
        """Return to the initial state: the next piece is the first of another signal."""
        with self._lock:
            self._ended = self._begun = False
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

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} cannot be copied or sent to another process; copy or send "
            "the model, and open a stream of it there"
        )

    def _accept(self, piece: Array) -> Tensor:
        """Check a piece before the state changes, and store its kind and shape."""
        self._require_open()
        self._warn_once(piece)
        tensor = float_tensor(piece, self._content, self._error)
        values = self._check(tensor)
        self._empty = like(tensor[..., :0], piece)
        return values

    def _warn_once(self, piece: Array) -> None:
        """Log a warning if the first piece of a signal requires gradients."""
        if not self._begun:
            warn_of_gradients(piece, self._content, "a stream has no gradients")
        self._begun = True

    def _reshaped(self, empty: Array) -> Array:
        """An array without values in the shape of a piece, [0] unless it is overridden."""
        return empty

    def _require_open(self) -> None:
        if self._ended:
            raise ConfigError("the stream was flushed; reset() starts a new signal")

    @abstractmethod
    def _check(self, values: Tensor) -> Tensor:
        """Convert a piece for `_advance`, or raise an error."""

    @abstractmethod
    def _advance(self, values: Tensor, *, last: bool) -> Tensor:
        """Output that is final with this piece; with `last`, all remaining output."""

    @abstractmethod
    def _restart(self) -> None:
        """Set the state to that of the beginning of a stream."""


def _as_tensor(values: Array) -> Tensor:
    """The tensor itself, or one that shares an array's memory, whatever the default device is."""
    return values if isinstance(values, Tensor) else torch.from_numpy(values)


def require_channels(values: Tensor, channels: int) -> None:
    """Raise AudioError unless `values` have the shape [channels, T], or [T] for one channel."""
    leading = list(values.shape[:-1])
    if values.ndim == 0 or (leading != [channels] and (leading or channels > 1)):
        raise AudioError(
            f"this stream takes audio [{channels}, T]; this piece has the shape "
            f"{list(values.shape)}"
        )
