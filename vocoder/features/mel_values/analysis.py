"""Properties of a mel that all recordings have in common."""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.dsp.stft import hann_window
from vocoder.features.mel import MelSpec, filterbank_of
from vocoder.features.mel_values.readings import Reading
from vocoder.io.defaults import Float32OnCpu

_TOP_HZ = 7000.0  # above, many recordings have nothing
_FEW_FRAMES = 8  # with less, fluctuations say nothing


class MelProperties(NamedTuple):
    """What recordings have in common, in nepers up to `tilt`."""

    loud: float  # level of the 5 % loudest frames, relative to white noise of power 1
    quiet: float  # and of the 5 % quietest
    low: float  # the 1 % lowest values
    range: float  # from them to the 1 % highest
    tilt: float  # deviation of the bands' means
    profile: float  # rise of the bands' means from the middle to the top by the deviation of all
    fluctuation: float | None  # in time and frequency, relative to that of noise
    smoothness: float | None  # fluctuation between neighbours by that of frames apart


class MelAnalysis:
    """Measures magnitudes in nepers against white noise, in the bands below 7 kHz of a spec.

    `limit` is the highest level, as of `levels`, that a frame of audio in [-1, 1] can have.
    """

    def __init__(self, spec: MelSpec) -> None:
        filters = filterbank_of(spec).double()
        power = hann_window(spec.win_length, spec.n_fft).double().square().sum()
        area = filters.sum(dim=1).clamp_min(1e-12)
        bins = torch.arange(filters.shape[1], dtype=torch.float64) * (spec.sample_rate / spec.n_fft)
        self.bands = max(int(((filters @ bins) / area < _TOP_HZ).sum()), min(8, spec.n_mels))
        noise = area * (power * math.pi / 4.0).sqrt() if spec.power == 1 else area * power
        self.noise = (noise.log() / spec.power)[: self.bands, None].float()
        independent = (area.square() / filters.square().sum(dim=1).clamp_min(1e-20))[: self.bands]
        self.weights = (independent / independent.sum()).float()[:, None]
        # By Parseval's theorem, with every bin in two bands.
        self.limit = 0.5 * math.log(4.0 / math.pi * spec.n_fft / independent.sum().item())
        independent = (independent * spec.win_length / spec.n_fft).clamp_min(1.0)
        # Deviation of the difference of two log magnitudes of noise in two bands each.
        variance = 0.41 / independent
        self.deviation = (2.0 * (variance[1:] + variance[:-1])).sqrt().float()[:, None]
        self.lag = max(1, round(spec.win_length / spec.hop_length))

    def properties(self, nepers: Tensor) -> MelProperties:
        """Properties of magnitudes in nepers. Shape: [bands, F]."""
        quiet, loud = self.levels(nepers)
        flat = nepers.flatten()
        least = int(0.01 * len(flat)) + 1
        low = flat.kthvalue(least).values.item()
        high = flat.kthvalue(len(flat) + 1 - least).values.item()
        above = low - self.noise.mean().item()
        means = nepers.mean(dim=1)
        tilt = means.std().item() if len(means) > 1 else 0.0
        position = torch.linspace(-1.0, 1.0, len(means), device=means.device)
        rise = ((means - means.mean()) * position).mean() / position.square().mean()
        deviation = nepers.std().clamp_min(1e-6) if nepers.numel() > 1 else nepers.new_ones(())
        profile = (rise / deviation).item()
        return MelProperties(
            loud, quiet, above, high - low, tilt, profile, *self._fluctuation(nepers)
        )

    def levels(self, nepers: Tensor) -> tuple[float, float]:
        """Level of the quietest and the loudest frames, in nepers over white noise of power 1."""
        power = (2.0 * (nepers - self.noise).clamp_max(20.0)).exp()
        levels = ((power * self.weights).sum(dim=0) + 1e-30).log().sort().values / 2.0
        last = len(levels) - 1
        return levels[int(0.05 * last)].item(), levels[math.ceil(0.95 * last)].item()

    def _fluctuation(self, nepers: Tensor) -> tuple[float | None, float | None]:
        """Fluctuation between frames that share no samples; and that of neighbours by it."""
        if nepers.shape[1] < max(_FEW_FRAMES, 2 * self.lag):
            return None, None
        steps = (nepers[1:] - nepers[:-1]) / self.deviation
        # Values at the floor do not fluctuate, and say nothing.
        inside = nepers > nepers.min() + 1e-6 * nepers.abs().max().clamp_min(1e-3)
        inside = inside[1:] & inside[:-1]
        inside = inside[:, self.lag :] & inside[:, : -self.lag]
        if inside.sum() < 40:
            return None, None
        apart = (steps[:, self.lag :] - steps[:, : -self.lag]).abs()[inside].median().item()
        near = (steps[:, self.lag :] - steps[:, self.lag - 1 : -1]).abs()[inside].median().item()
        return apart / 0.6745, near / max(apart, 1e-9)


@functools.lru_cache(maxsize=16)
def analysis_of(spec: MelSpec) -> MelAnalysis:
    """The analysis for a spec, made once, whatever torch's default dtype is then."""
    with Float32OnCpu():
        return MelAnalysis(spec)


def scaled(
    properties: MelProperties, reading: Reading, quiet: float, loud: float, noise: float
) -> MelProperties:
    """Properties of values by a reading, from those of the values."""
    slope, fluctuation = reading.slope, properties.fluctuation
    return MelProperties(
        loud,
        quiet,
        slope * (properties.low + noise) + reading.offset - noise,
        slope * properties.range,
        slope * properties.tilt,
        properties.profile,
        None if fluctuation is None else slope * fluctuation,
        properties.smoothness,
    )
