"""Where the content of a recording ends, whatever its sample rate promises."""

import math

import torch
from torch import Tensor

_N_FFT = 2048
_HOP = _N_FFT // 2
_BANDS = 128  # groups of spectrum bins: the resolution of the bandwidth is 1/128 of Nyquist
_KEPT = 4096  # frames: 87 s at 48 kHz
# Levels are mean squares of white noise that would give the same spectral density.
_ROUNDING_FLOOR = 1e-9  # -90 dBFS: 16-bit rounding lies at -101, with dither at -96
_ACTIVE = 2.0**-30  # a frame under one 16-bit step is digital silence
_QUIET_SHARE = 0.1
_ABOVE_QUIET = 4.0  # 6 dB; the quietest tenth of steady noise lies 2.4 dB under its mean
_BELOW_LOUDEST = 1e-6  # -60 dB
# Filters that let something through. Sounds as such fall less, seen from what lies up to a quarter
# lower in frequency; but many fall like that towards Nyquist, by their own converter.
_STEP = 0.75
_LEAK = 10.0**-4.2  # what is left above an cutoff
_SLOPE = 0.1  # on the way down from an cutoff, at eighth order and more
_SLOPE_DEPTH = 10.0**-3.6
_LOWEST_CUTOFF = 1500.0  # Hz; below, a few strong harmonics would look like an cutoff
_NEAR_NYQUIST = 0.9
_SHARP = 0.9  # the slope of a resampler belongs to its band


class BandwidthMeter:
    """Measures up to which frequency a recording has content, block by block in constant memory.

    A band has content if its mean level is above what 16-bit rounding leaves and either rises over
    its own quietest tenth of frames (a steady noise floor does not) or is near the loudest band (as
    in a recording that is steady itself). What steep filters leak is not content: neither what lies
    42 dB below their cutoff nor a slope of 10 dB in a quarter of the frequency that leads down 36 dB.

    The result does not depend on how the recording is cut into blocks. Up to 4096 frames without
    digital silence (87 s at 48 kHz) the quietest tenth is exact; of longer recordings it is that of
    every second, fourth, … frame, never fewer than 2048. Means are always over all frames.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._rest: Tensor | None = None  # [C, < _N_FFT] samples that no frame has begun with
        self._measured = False
        self._count = 0
        self._sum = torch.zeros(_BANDS, dtype=torch.float64)
        self._kept = torch.zeros(0, _BANDS)
        self._every = 1

    def add(self, block: Tensor) -> None:
        """Take the next samples.   Shape: [C, T], any T, C the same every time."""
        samples = block if self._rest is None else torch.cat([self._rest, block], dim=-1)
        frames = max(0, (samples.shape[-1] - _N_FFT) // _HOP + 1)
        self._rest = samples[:, frames * _HOP :].clone()
        if frames == 0:
            return
        self._measured = True
        levels = _band_levels(samples)
        first = -self._count % self._every
        self._kept = torch.cat([self._kept, levels[first :: self._every]])
        while len(self._kept) > _KEPT:
            self._kept, self._every = self._kept[::2].clone(), 2 * self._every
        self._sum += levels.double().sum(0)
        self._count += len(levels)

    @property
    def bandwidth_hz(self) -> int:
        """Upper edge of the highest band with content; 0 without any.

        A recording shorter than one frame (2048 samples) counts as full band.
        """
        if not self._measured:
            return self.sample_rate // 2
        if self._count == 0:
            return 0
        mean = (self._sum / self._count).float()
        quiet = self._kept.kthvalue(math.ceil(_QUIET_SHARE * len(self._kept)), dim=0).values
        content = (mean > _ABOVE_QUIET * quiet) | (mean > _BELOW_LOUDEST * mean.max())
        bands = torch.nonzero(content & (mean > _ROUNDING_FLOOR))
        if len(bands) == 0:
            return 0
        lowest = math.ceil(_LOWEST_CUTOFF / (self.sample_rate / 2) * _BANDS)
        cutoff = _without_leaks(mean.tolist(), int(bands.max()) + 1, lowest)
        return round(cutoff / _BANDS * self.sample_rate / 2)


def _band_levels(samples: Tensor) -> Tensor:
    """Mean spectral density per frame and band, digital silence left out. [C, T] → [F, bands]."""
    window = torch.hann_window(_N_FFT)
    frames = samples.unfold(-1, _N_FFT, _HOP)  # [C, F, N]
    frames = frames - frames.mean(-1, keepdim=True)
    power = torch.fft.rfft(frames * window).abs().square() / window.square().sum()
    bands: Tensor = power[..., 1:].unflatten(-1, (_BANDS, -1)).mean((0, -1))  # [F, bands]
    return bands[frames.square().mean((0, 2)) > _ACTIVE]


def _without_leaks(level: list[float], cutoff: int, lowest: int) -> int:
    """The number of bands below the cutoff of a steep filter, if there is one; else `cutoff`."""

    def before(band: int) -> float:
        """The loudest in the quarter of the frequencies below a band."""
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
