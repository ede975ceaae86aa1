"""Spectrograms in decibels for the eye: of audio, and of mels by their contract."""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.filterbank import hz_to_mel, mel_to_hz
from vocoder.dsp.stft import hann_window, pad_reflect, padding_amounts
from vocoder.errors import AudioError, ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec

FrequencyAxis = Literal["linear", "log", "mel"]
FULL_SCALE, MEL_UNITS = "dB re full-scale sine", "dB of mel values"
_SILENCE_DB = -120.0
_LOWEST_HZ = 40.0  # of a logarithmic axis
_FINE = 8  # places in the band of a row where the level is interpolated
_PIECE = 4096  # frames transformed at once, which bounds the memory for long recordings


@dataclass(frozen=True)
class SpectrumPicture:
    """A spectrogram to draw: rows from low to high frequency, columns side by side in time."""

    decibels: Tensor
    """Levels. Shape: [K, F]."""
    seconds: float
    """Time that the columns cover together."""
    hertz: float
    """Upper end of the frequency axis."""
    frequencies: Tensor
    """Frequency of each row in Hz, rising. Shape: [K]."""
    begin: float = 0.0
    """Time of the left edge in seconds."""
    unit: str = FULL_SCALE
    """What the levels refer to; only pictures of one unit can share a colour scale."""


def spectrum_picture(
    audio: Tensor,
    sample_rate: int,
    *,
    f_max: float | None = None,
    window_ms: float = 40.0,
    axis: FrequencyAxis = "linear",
    columns: int = 1200,
) -> SpectrumPicture:
    """Spectrogram of a recording in dB, 0 dB for a sine of full scale. Shape: [T], T ≥ 1.

    Where the recording has more frames than `columns`, a column is the maximum of its frames, so
    that clicks and tones stay visible. Raises AudioError for audio without samples or with NaN,
    ConfigError for settings that cannot be drawn.

    Args:
        audio: The recording.
        sample_rate: Its sample rate in Hz.
        f_max: Highest frequency; Nyquist by default and at most.
        window_ms: Length of the Hann window in milliseconds.
        axis: Spacing of the rows: "linear", "log" (from 40 Hz) or "mel" (Slaney).
        columns: Most columns of the picture.

    >>> tone = torch.sin(2 * torch.pi * 1000.0 / 16000.0 * torch.arange(16000))
    >>> picture = spectrum_picture(tone, 16000)
    >>> row = int(picture.decibels[:, 500].argmax())
    >>> round(picture.frequencies[row].item()), abs(picture.decibels[row, 500].item()) < 0.1
    (1000, True)
    """
    if audio.ndim != 1 or len(audio) == 0:
        raise AudioError(f"a spectrogram needs audio [T], not shape {list(audio.shape)}")
    if not bool(audio.isfinite().all()):
        raise AudioError("the audio has NaN or infinite samples, of which there is no spectrogram")
    if axis not in get_args(FrequencyAxis):
        raise ConfigError(f"no frequency axis {axis!r}; choose linear, log or mel")
    win_length = round(window_ms * 1e-3 * sample_rate)
    if win_length < 4 or columns < 1:
        raise ConfigError(f"a window of {window_ms:g} ms at {sample_rate} Hz has no 4 samples")
    hertz = min(f_max or math.inf, sample_rate / 2)
    if hertz <= _LOWEST_HZ:
        raise ConfigError(f"the highest frequency is {hertz:g} Hz; it must be above 40 Hz")
    levels, samples = _levels(audio.detach().cpu().float(), win_length, columns)
    levels, frequencies = _on_axis(levels, sample_rate / 2, hertz, axis)
    seconds = levels.shape[1] * samples / sample_rate
    return SpectrumPicture(levels, seconds, hertz, frequencies)


def mel_picture(mel: Tensor, spec: MelSpec) -> SpectrumPicture:
    """Picture of a log-mel in dB, 0 dB for a mel value of 1, by its contract. Shape: [M, F].

    A mean and a scale are undone. Raises MelMismatchError for another number of bands, no frames,
    NaN or infinite values.
    """
    if mel.ndim != 2 or mel.shape[0] != spec.n_mels or mel.shape[1] == 0:
        shape = list(mel.shape)
        raise MelMismatchError(f"a mel of {spec.n_mels} bands is needed, not shape {shape}")
    if not bool(mel.isfinite().all()):
        raise MelMismatchError("the mel has NaN or infinite values, which cannot be drawn")
    per_decade = 20.0 / spec.power
    values = spec.expand(mel.detach().cpu().float())
    decibels = per_decade * torch.log10(values.clamp_min(10.0 ** (_SILENCE_DB / per_decade)))
    frame = spec.hop_length / spec.sample_rate
    limits = hz_to_mel(torch.tensor([spec.f_min, spec.top_hz]), spec.mel_scale)
    bands = torch.linspace(float(limits[0]), float(limits[1]), spec.n_mels + 2)[1:-1]
    return SpectrumPicture(
        decibels,
        seconds=mel.shape[1] * frame,
        hertz=spec.top_hz,
        frequencies=mel_to_hz(bands, spec.mel_scale),
        begin=-frame / 2 if spec.padding == "center" else 0.0,
        unit=MEL_UNITS,
    )


def difference(
    first: SpectrumPicture, other: SpectrumPicture, dynamic_range: float = 80.0
) -> SpectrumPicture:
    """Levels of `other` less those of `first`, over the columns that both have.

    Levels more than `dynamic_range` dB below the highest of both count as equal, so that what
    cannot be heard does not show.
    """
    columns = min(first.decibels.shape[1], other.decibels.shape[1])
    floor = max(float(first.decibels.max()), float(other.decibels.max())) - dynamic_range
    levels = [each.decibels[:, :columns].clamp_min(floor) for each in (first, other)]
    seconds = first.seconds * columns / first.decibels.shape[1]
    return replace(first, decibels=levels[1] - levels[0], seconds=seconds)


def _levels(audio: Tensor, win_length: int, columns: int) -> tuple[Tensor, int]:
    """Spectrum of each column in dB, and the samples that a column covers. Shape: [T] → [K, F]."""
    n_fft = 1 << (win_length - 1).bit_length()
    window = hann_window(win_length, n_fft)
    hop = max(1, min(win_length // 4, -(-len(audio) // columns)))
    frames = -(-len(audio) // hop)
    group = -(-frames // columns)
    left, right = padding_amounts(n_fft, hop, "same")
    padded = pad_reflect(audio, left, right + frames * hop - len(audio))
    step = group * max(1, _PIECE // group)
    pieces = []
    for first in range(0, frames, step):
        last = min(first + step, frames) - 1
        part = padded[first * hop : last * hop + n_fft]
        bins = torch.stft(part, n_fft, hop, window=window, center=False, return_complex=True)
        pieces.append(F.max_pool1d(bins.abs(), group, ceil_mode=True))
    amplitude = torch.cat(pieces, dim=1) * (2.0 / window.sum())
    return 20.0 * torch.log10(amplitude.clamp_min(10.0 ** (_SILENCE_DB / 20.0))), group * hop


def _on_axis(
    levels: Tensor, nyquist: float, hertz: float, axis: FrequencyAxis
) -> tuple[Tensor, Tensor]:
    """Rows evenly spaced on the axis, up to `hertz`, and their frequencies. [K, F] → [R, F], [R].

    A row is the maximum over its band, so that tones between two rows stay visible.
    """
    bin_hz = nyquist / (len(levels) - 1)
    if axis == "linear":
        count = max(2, int(hertz / bin_hz) + 1)
        return levels[:count], torch.arange(count) * bin_hz
    rows = len(levels)
    places = (torch.arange(rows * _FINE) - (_FINE - 1) / 2) / (_FINE * (rows - 1))
    if axis == "log":
        frequencies = _LOWEST_HZ * (hertz / _LOWEST_HZ) ** places
    else:
        frequencies = mel_to_hz(places * hz_to_mel(torch.tensor(hertz), "slaney"), "slaney")
    position = (frequencies / bin_hz).clamp(0.0, rows - 1.0)
    below = position.floor().long().clamp_max(rows - 2)
    share = (position - below)[:, None]
    fine = levels[below] * (1.0 - share) + levels[below + 1] * share
    return fine.view(rows, _FINE, -1).amax(1), frequencies.view(rows, _FINE).mean(1)
