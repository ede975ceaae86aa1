"""What detectors share: one analysis of each signal, made once and given to all of them.

The data flow of `detect`:

    audio [T] ─► Analysis ─┬─ power [F, K]   windows of 40 to 64 ms, a quarter apart: tones, levels
                           ├─ fine [G, L]    windows of 5 to 8 ms, half apart: gaps, sibilants
                           ├─ pauses         runs of quiet frames
                           └─ pitch          F0 of each frame, by autocorrelation from `power`
    Pair(estimate, reference) ─► each detector ─► list[Artefact]

Every part is computed when the first detector asks for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.stft import pad_reflect, padding_amounts

SILENCE = 1e-12  # power that stands for digital silence, -120 dB
_PAUSE_DB = 25.0  # by which the mean of a pause's levels lies below that of loud frames
_SHORTEST_PAUSE = 0.15  # seconds
_VOICE_TOP = 1500.0  # Hz; a hum of the voice has nothing above
_PITCH_HZ = (65.0, 1100.0)
_PITCH_TOP = 4000.0  # above, harmonics are noisy and blur the peak
_LAG_RATE = 24000.0
_OCTAVE_COST = 0.02  # for each octave of a longer lag: prefers the shortest of equal periods


class HeldPitch(NamedTuple):
    """F0 in Hz and strength of periodicity (1 for a periodic frame) of each frame. Shape: [F]."""

    f0: Tensor
    strength: Tensor


class Analysis:
    """Spectra, levels, pauses and pitch of one signal. Shape of the audio: [T].

    Levels are in dB; a sine of full scale has 0 dB in `decibels`, and -3 dB in `level`.
    """

    def __init__(self, audio: Tensor, sample_rate: int) -> None:
        self.audio = audio.detach().cpu().float()
        self.sample_rate = sample_rate
        self.n_fft = 1 << math.ceil(math.log2(0.04 * sample_rate))
        self.hop = self.n_fft // 4
        self.fine_fft = self.n_fft // 8
        self.fine_hop = self.fine_fft // 2
        self.seconds = len(audio) / sample_rate

    @property
    def bin_hz(self) -> float:
        """Distance of the bins of `power` in Hz."""
        return self.sample_rate / self.n_fft

    @property
    def frame_seconds(self) -> float:
        """Distance of the frames of `power` in seconds; frame f is centered on f + 1/2 of them."""
        return self.hop / self.sample_rate

    @property
    def fine_seconds(self) -> float:
        """Distance of the frames of `fine` in seconds."""
        return self.fine_hop / self.sample_rate

    @cached_property
    def power(self) -> Tensor:
        """Power spectrum of each frame; a sine of full scale has 1. Shape: [F, K]."""
        return _power(self.audio, self.n_fft, self.hop)

    @cached_property
    def decibels(self) -> Tensor:
        """`power` in dB. Shape: [F, K]."""
        return decibels(self.power)

    @cached_property
    def fine(self) -> Tensor:
        """Power spectrum of each short frame. Shape: [G, L]."""
        return _power(self.audio, self.fine_fft, self.fine_hop)

    @cached_property
    def level(self) -> Tensor:
        """Level of each frame above 50 Hz in dBFS. Shape: [F]."""
        return self.band_level(50.0, self.sample_rate / 2)

    def band_level(self, low_hz: float, high_hz: float) -> Tensor:
        """Level of each frame between two frequencies in dBFS. Shape: [F]."""
        return decibels(_band(self.power, low_hz, high_hz, self.bin_hz))

    def fine_level(self, low_hz: float, high_hz: float) -> Tensor:
        """Level of each short frame between two frequencies in dBFS. Shape: [G]."""
        return decibels(_band(self.fine, low_hz, high_hz, self.sample_rate / self.fine_fft))

    @cached_property
    def active_level(self) -> float:
        """Level that a twentieth of the frames exceed, in dBFS."""
        return float(torch.quantile(self.level, 0.95))

    @cached_property
    def pauses(self) -> list[tuple[int, int]]:
        """First frame and one past the last of each pause; a tone in it does not end a pause.

        Quiet frames are those whose mean level over frequency lies 25 dB below that of loud ones,
        over the whole spectrum and below 1.5 kHz.
        """
        voice = round(_VOICE_TOP / self.bin_hz)
        means = torch.stack([self.decibels.mean(1), self.decibels[:, :voice].mean(1)])
        quiet = (means < torch.quantile(means, 0.95, dim=1, keepdim=True) - _PAUSE_DB).all(0)
        shortest = round(_SHORTEST_PAUSE / self.frame_seconds)
        # The windows of the outer frames reach into what surrounds the pause.
        inner = [(first + 2, last - 2) for first, last in runs(quiet, shortest)]
        return [(first, last) for first, last in inner if last > first]

    @cached_property
    def pitch(self) -> HeldPitch:
        """F0 of each frame by normalised autocorrelation (Boersma 1993), 65 to 1100 Hz."""
        top = min(int(_PITCH_TOP / self.bin_hz) + 1, self.n_fft // 2 + 1)
        fine = max(1.0, _LAG_RATE / self.sample_rate)
        size = 1 << math.ceil(math.log2(self.n_fft * fine))
        taper = 0.5 + 0.5 * torch.cos(math.pi * torch.linspace(0.0, 1.0, top))
        own = torch.fft.rfft(torch.hann_window(self.n_fft)).abs().square()
        spectrum = self.power[:, :top] * taper
        lag_rate = self.sample_rate * size / self.n_fft
        # A shorter transform of the low bins gives the lags that are wanted, and no others.
        while lag_rate / 2 >= _LAG_RATE and size // 2 >= 2 * top:
            size, lag_rate = size // 2, lag_rate / 2
        lags = int(lag_rate / _PITCH_HZ[0]) + 2
        correlation = torch.fft.irfft(spectrum, n=size)[:, :lags]
        window = torch.fft.irfft(own[: min(len(own), size // 2 + 1)], n=size)[:lags]
        normal = correlation / correlation[:, :1].clamp_min(1e-20) / (window / window[0])
        return _peak(normal, lag_rate)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An estimate with its reference, if there is one, and what is known about its generator."""

    estimate: Analysis
    reference: Analysis | None = None
    upsampling: Sequence[int] = ()
    """Factors of the generator's up-sampling layers, first to last."""
    hop_length: int | None = None
    """Samples in a frame of the generator."""


def decibels(power: Tensor) -> Tensor:
    """Power in dB, at least -120."""
    return 10.0 * torch.log10(power.clamp_min(SILENCE))


def runs(mask: Tensor, shortest: int = 1) -> list[tuple[int, int]]:
    """First index and one past the last of each run of true values. Shape: [F]."""
    edges = F.pad(mask.int(), (1, 1)).diff().nonzero()[:, 0].tolist()
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(first, last) for first, last in pairs if last - first >= shortest]


def near_max(values: Tensor, before: int, after: int) -> Tensor:
    """Maximum from `before` places before each one to `after` places after it. Shape: [F]."""
    padded = F.pad(values, (before, after), value=-torch.inf)
    return F.max_pool1d(padded[None], before + after + 1, stride=1)[0]


def smooth(values: Tensor, places: int) -> Tensor:
    """Moving average over `places` (made odd), shorter at the ends. Shape: [..., F]."""
    half = places // 2
    flat = values.reshape(-1, 1, values.shape[-1])
    pooled = F.avg_pool1d(flat, 2 * half + 1, stride=1, padding=half, count_include_pad=False)
    return pooled.reshape(values.shape)


def hertz(value: float) -> str:
    """A frequency in words: "3,002 Hz"."""
    return f"{value:,.0f} Hz"


def _power(audio: Tensor, n_fft: int, hop: int) -> Tensor:
    window = torch.hann_window(n_fft)
    left, right = padding_amounts(n_fft, hop, "same")
    frames = pad_reflect(audio, left, right + -len(audio) % hop).unfold(0, n_fft, hop)
    spectrum = torch.view_as_real(torch.fft.rfft(frames * window))
    return spectrum.square().sum(-1).mul_((2.0 / float(window.sum())) ** 2)


def _band(power: Tensor, low_hz: float, high_hz: float, bin_hz: float) -> Tensor:
    """Mean square of a band. A sine is half its peak power, spread over 1.5 bins by the window."""
    first, last = math.ceil(low_hz / bin_hz), math.floor(high_hz / bin_hz)
    return power[:, first : last + 1].sum(1) / 3.0


def _peak(correlation: Tensor, lag_rate: float) -> HeldPitch:
    """Best peak of each frame, refined by a parabola. Shape: [F, L]."""
    shortest = max(2, int(lag_rate / _PITCH_HZ[1]))
    inner = correlation[:, shortest:-1]
    peaks = (inner >= correlation[:, shortest - 1 : -2]) & (inner > correlation[:, shortest + 1 :])
    lag = torch.arange(shortest, correlation.shape[1] - 1)
    score = inner - _OCTAVE_COST * torch.log2(lag / lag[0])
    best = torch.where(peaks, score, -1.0).argmax(1, keepdim=True)
    left, top, right = (correlation.gather(1, best + shortest + step)[:, 0] for step in (-1, 0, 1))
    curvature = (left - 2 * top + right).clamp_max(-1e-6)
    shift = (0.5 * (left - right) / curvature).clamp(-0.5, 0.5)
    return HeldPitch(lag_rate / (lag[best[:, 0]] + shift), top.clamp(0.0, 1.0))
