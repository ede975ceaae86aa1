"""Bandwidth of recordings: the frequency up to which there is content."""

import math

import torch
from torch import Tensor

_N_FFT = 2048
_HOP = _N_FFT // 2
_BANDS = 128  # groups of spectrum bins: the resolution of the bandwidth is 1/128 of Nyquist
_MAX_FRAMES = 4096  # stored levels: 87 s at 48 kHz
# Levels are mean squares of white noise that would give the same spectral density.
_ROUNDING_FLOOR = 1e-9  # -90 dBFS: 16-bit rounding lies at -101, with dither at -96
_ACTIVE = 2.0**-30  # a frame under one 16-bit step is digital silence
_QUIET_SHARE = 0.1
_ABOVE_QUIET = 4.0  # 6 dB; the quietest tenth of stationary noise lies 2.4 dB under its mean
_BELOW_LOUDEST = 1e-6  # -60 dB
# Leakage of filters, relative to the level up to a quarter lower in frequency. Natural spectra fall
# less steeply, except towards Nyquist, where many do because of their own converter.
_STEP = 0.75
_LEAK = 10.0**-4.2  # level that is left above a cutoff
_SLOPE = 0.1  # decay beyond a cutoff, at eighth order and more
_SLOPE_DEPTH = 10.0**-3.6
_LOWEST_CUTOFF = 1500.0  # Hz; below, a few strong harmonics would look like a cutoff
_NEAR_NYQUIST = 0.9
_SHARP = 0.9  # the transition band of a resampler counts as content


class BandwidthMeter:
    """Measures the frequency up to which a recording has content, in blocks and constant memory.

    A band has content if its mean level is above 16-bit rounding noise and either exceeds that of
    its own quietest tenth of frames (stationary noise does not) or is close to the loudest band (as
    in a stationary recording). The leakage of steep filters is not content: neither what lies 42 dB
    below their pass band nor a slope of 10 dB in a quarter of the frequency that leads down 36 dB.

    The result does not depend on how the recording is cut into blocks. Up to 4096 frames without
    digital silence (87 s at 48 kHz) the quietest tenth is exact; of longer recordings it is that of
    every second, fourth, … frame, never fewer than 2048. Means are always over all frames.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._rest: Tensor | None = None  # [C, < _N_FFT] samples of the next frame
        self._measured = False
        self._count = 0
        self._sum = torch.zeros(_BANDS, dtype=torch.float64, device="cpu")
        self._levels = torch.zeros(0, _BANDS, dtype=torch.float32, device="cpu")
        self._every = 1

    def add(self, block: Tensor) -> None:
        """Add the next samples.   Shape: [C, T], any T, C the same every time."""
        samples = block if self._rest is None else torch.cat([self._rest, block], dim=-1)
        frames = max(0, (samples.shape[-1] - _N_FFT) // _HOP + 1)
        self._rest = samples[:, frames * _HOP :].clone()
        if frames == 0:
            return
        self._measured = True
        levels = _band_levels(samples)
        first = -self._count % self._every
        self._levels = torch.cat([self._levels, levels[first :: self._every]])
        while len(self._levels) > _MAX_FRAMES:
            self._levels, self._every = self._levels[::2].clone(), 2 * self._every
        self._sum += levels.double().sum(0)
        self._count += len(levels)

    @property
    def bandwidth_hz(self) -> int:
        """Frequency in Hz up to which the recording so far has content; 0 if it has none.

        A recording shorter than one frame (2048 samples) counts as full band.
        """
        if not self._measured:
            return self.sample_rate // 2
        if self._count == 0:
            return 0
        mean = (self._sum / self._count).float()
        tenth = math.ceil(_QUIET_SHARE * len(self._levels))
        quiet = self._levels.kthvalue(tenth, dim=0).values
        content = (mean > _ABOVE_QUIET * quiet) | (mean > _BELOW_LOUDEST * mean.max())
        bands = torch.nonzero(content & (mean > _ROUNDING_FLOOR))
        if len(bands) == 0:
            return 0
        lowest = math.ceil(_LOWEST_CUTOFF / (self.sample_rate / 2) * _BANDS)
        cutoff = _without_leaks(mean.tolist(), int(bands.max()) + 1, lowest)
        return round(cutoff / _BANDS * self.sample_rate / 2)


def _band_levels(samples: Tensor) -> Tensor:
    """Mean spectral density per frame and band, without digital silence. [C, T] → [F, bands]."""
    window = torch.hann_window(_N_FFT, dtype=samples.dtype, device=samples.device)
    frames = samples.unfold(-1, _N_FFT, _HOP)  # [C, F, N]
    frames = frames - frames.mean(-1, keepdim=True)
    power = torch.fft.rfft(frames * window).abs().square() / window.square().sum()
    bands: Tensor = power[..., 1:].unflatten(-1, (_BANDS, -1)).mean((0, -1))  # [F, bands]
    return bands[frames.square().mean((0, 2)) > _ACTIVE]


def _without_leaks(level: list[float], cutoff: int, lowest: int) -> int:
    """Number of bands below the cutoff of a steep filter, if there is one; else `cutoff`."""

    def before(band: int) -> float:
        """Highest level in the quarter of the frequencies below a band."""
        return max(level[int(_STEP * band) : band])

    leaks = (
        band for band in range(lowest, cutoff) if max(level[band:cutoff]) < _LEAK * before(band)
    )
    top = next(leaks, cutoff)
    knee = top
    while knee > lowest and level[knee - 1] < _SLOPE * before(knee - 1):
        knee -= 1
    found = knee if level[top - 1] < _SLOPE_DEPTH * before(knee) else top
    return found if cutoff < _NEAR_NYQUIST * _BANDS and found < _SHARP * cutoff else cutoff
