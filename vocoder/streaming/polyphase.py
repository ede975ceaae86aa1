"""`vocoder.dsp.resample` of a signal that arrives in pieces: what it gives is final and comes soon.

`ResampleStream` is the counterpart of `vocoder.audio.resample`; soxr is faster, but gives its audio
in bursts.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.resample import resample


class PolyphaseStream:
    """One or more channels on their way from `have` to `want` samples per second.

    `quality` are the settings of the filter that `resample` takes. It is late by half the filter's
    length: 8 ms from 8 kHz with the defaults. Equal rates pass at once.
    """

    def __init__(self, have: int, want: int, **quality: Any) -> None:
        self.have, self.want, self.quality = have, want, quality
        divisor = math.gcd(have, want)
        self._period = have // divisor  # after so many samples the rates coincide again
        crossings = quality.get("zeros", 64) / quality.get("rolloff", 0.95)
        self._reach = math.ceil(crossings * max(1.0, have / want)) + 1
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of another signal."""
        self._kept: Tensor | None = None  # what later samples need, from sample `_start` on
        self._start = self._made = 0

    def push(self, audio: Tensor, *, last: bool = False) -> Tensor:
        """What is final with these samples; `last` ends them, and all that is left is made.

        In all, round(T * want / have) samples.   Shape: [C, t], any t ≥ 0 → [C, t'].
        """
        if self.have == self.want:
            return audio
        kept = audio if self._kept is None else torch.cat([self._kept, audio], dim=-1)
        end = self._start + kept.shape[-1]
        if last:
            ready = round(end * self.want / self.have)
            kept = F.pad(kept, (0, self._reach))  # or the last sample may be rounded away
        else:
            ready = max((end - self._reach) * self.want // self.have, self._made)
        offset = self._start * self.want // self.have
        made = resample(kept, self.have, self.want, **self.quality)
        made = made[:, self._made - offset : ready - offset]
        needed = max(ready * self.have // self.want - self._reach, 0)
        drop = (needed - self._start) // self._period * self._period
        self._kept, self._made = kept[:, max(drop, 0) :], ready
        self._start += max(drop, 0)
        return made
