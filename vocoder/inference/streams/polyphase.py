"""`vocoder.dsp.resample` of a signal that arrives in pieces, with low delay.

`ResampleStream` is the stream of `vocoder.io.audio.resample_soxr`; soxr is faster, but returns its
audio in bursts.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.resample import resample


class PolyphaseStream:
    """Resamples one or more channels piece by piece from `orig_rate` to `new_rate` Hz.

    `quality` holds settings of the filter for `resample`. The delay is half the filter's length:
    8 ms from 8 kHz with the defaults. Equal rates pass without delay.
    """

    def __init__(self, orig_rate: int, new_rate: int, **quality: Any) -> None:
        self.orig_rate, self.new_rate, self.quality = orig_rate, new_rate, quality
        divisor = math.gcd(orig_rate, new_rate)
        self._period = orig_rate // divisor  # after so many samples the rates coincide again
        crossings = quality.get("zeros", 64) / quality.get("rolloff", 0.95)
        self._reach = math.ceil(crossings * max(1.0, orig_rate / new_rate)) + 1
        self.reset()

    def reset(self) -> None:
        """Return to the initial state: the next sample is the first of another signal."""
        self._kept: Tensor | None = None  # input that later outputs need, from sample `_start` on
        self._start = self._made = 0

    def push(self, audio: Tensor, *, last: bool = False) -> Tensor:
        """Output that is final with the next samples; `last` ends the signal.

        In all, round(T * new_rate / orig_rate) samples.   Shape: [C, t], any t ≥ 0 → [C, t'].
        """
        if self.orig_rate == self.new_rate:
            return audio
        signal = audio if self._kept is None else torch.cat([self._kept, audio], dim=-1)
        end = self._start + signal.shape[-1]
        if last:
            ready = round(end * self.new_rate / self.orig_rate)
            signal = F.pad(signal, (0, self._reach))  # or the last sample may be rounded away
        else:
            ready = max((end - self._reach) * self.new_rate // self.orig_rate, self._made)
        offset = self._start * self.new_rate // self.orig_rate
        made = resample(signal, self.orig_rate, self.new_rate, **self.quality)
        made = made[:, self._made - offset : ready - offset]
        needed = max(ready * self.orig_rate // self.new_rate - self._reach, 0)
        drop = (needed - self._start) // self._period * self._period
        self._kept, self._made = signal[:, max(drop, 0) :], ready
        self._start += max(drop, 0)
        return made
