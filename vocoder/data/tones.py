"""Gliding tones among the training crops: signals that have no upper band to reconstruct."""

import math

import numpy as np
import torch
from torch import Tensor

_SPAN_HZ = (50.0, 10000.0)
_LEVELS_DBFS = (-40.0, -3.0)


def gliding_tone(rng: np.random.Generator, *, samples: int, sample_rate: int) -> Tensor:
    """A sine that glides between two random frequencies in 50 Hz–10 kHz, at a random level.

    A tone has no missing upper band: whatever a bandwidth extender adds to it is an error. Its peak
    is between -40 and -3 dBFS.

    Shape: [samples].
    """
    low, high = map(math.log, _SPAN_HZ)
    begin, end, phase, level = rng.random(4)
    octaves = torch.linspace(begin, end, samples, dtype=torch.float64)
    hz = torch.exp(low + (high - low) * octaves).clamp(max=0.45 * sample_rate)
    peak = 10.0 ** ((_LEVELS_DBFS[0] + (_LEVELS_DBFS[1] - _LEVELS_DBFS[0]) * level) / 20.0)
    turns = (hz / sample_rate).cumsum(-1) + phase
    tone: Tensor = peak * torch.sin(2.0 * math.pi * (turns - turns.round()))
    return tone.float()
