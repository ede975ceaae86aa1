"""Fundamental frequency by normalised autocorrelation and dynamic programming, batched.

The method is Boersma's (1993, "Accurate short-term analysis of the fundamental frequency"): the
autocorrelation of a windowed frame divided by that of its window, candidates per frame, and the
best path through them. Here candidates are a fixed logarithmic grid, so that tensor operations
track a whole batch, and the chosen lag is refined by a parabola.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.stft import Padding, padding_amounts

BINS_PER_OCTAVE = 48
_VOICING_THRESHOLD = 0.45
_SILENCE_THRESHOLD = 0.02
_OCTAVE_COST = 0.01
_JUMP_COST = 0.35  # in units of strength, per octave and 10 ms
_SWITCH_COST = 0.14  # between voiced and unvoiced
_LOWPASS_HZ = (2500.0, 4000.0)  # above, harmonics are noisy and blur the peak
_HIGHEST_HZ = 600.0
_LAGS_PER_PERIOD = 80 / 3  # coarser lags miss the peak of a high f0, not that of its octave


class Pitch(NamedTuple):
    """Result of `track_pitch`: `f0` in Hz, positive in every frame, and which frames are voiced.

    Shape: [B, F], [B, F].
    """

    f0: Tensor
    voiced: Tensor


def pitch_bins(f_min: float, f_max: float) -> Tensor:
    """Logarithmic grid from f_min to f_max in Hz. Shape: [P]."""
    octaves = math.log2(f_max / f_min)
    count = math.ceil(octaves * BINS_PER_OCTAVE) + 1
    return f_min * 2.0 ** torch.linspace(0.0, octaves, count)


def track_pitch(
    audio: Tensor,
    *,
    sample_rate: int,
    hop_length: int,
    padding: Padding = "same",
    f_min: float = 60.0,
    f_max: float = _HIGHEST_HZ,
) -> Pitch:
    """Track the fundamental frequency of each signal on the frame grid of `stft`.

    Shape: [B, T] → f0, voiced: [B, F].

    Args:
        audio: Mono signals.
        sample_rate: Sample rate in Hz.
        hop_length: Samples between frames.
        padding: Position of the frames, see `vocoder.dsp.stft`.
        f_min: Lowest fundamental in Hz.
        f_max: Highest fundamental in Hz.
    """
    correlation, loudness = autocorrelation(
        audio,
        sample_rate=sample_rate,
        hop_length=hop_length,
        padding=padding,
        f_min=f_min,
        f_max=f_max,
    )
    return best_pitch(
        correlation,
        loudness,
        lag_rate=sample_rate * lags_per_sample(sample_rate, f_max),
        hop_seconds=hop_length / sample_rate,
        f_min=f_min,
        f_max=f_max,
    )


def best_pitch(
    correlation: Tensor,
    loudness: Tensor,
    *,
    lag_rate: float,
    hop_seconds: float,
    f_min: float,
    f_max: float,
    voicing_threshold: float = _VOICING_THRESHOLD,
    silence_threshold: float = _SILENCE_THRESHOLD,
) -> Pitch:
    """The pitch of frames whose autocorrelation is known, by the best path through all of them.

    Shape: [B, F, L], [B, F] → f0, voiced: [B, F].

    Args:
        correlation: From `autocorrelation`.
        loudness: From `autocorrelation`, the peak levels.
        lag_rate: Lags per second.
        hop_seconds: Time between frames.
        f_min: Lowest fundamental in Hz.
        f_max: Highest fundamental in Hz.
        voicing_threshold: Correlation above which a frame is rather voiced.
        silence_threshold: Level below which it is rather not, relative to the loudest frame.
    """
    bins = pitch_bins(f_min, f_max).to(correlation.device)
    strength = _interpolate(correlation, lag_rate / bins)  # [B, F, P]
    voiced_score = strength + _OCTAVE_COST * torch.log2(bins / f_min)
    quiet = loudness / loudness.amax(-1, keepdim=True).clamp_min(1e-9) / silence_threshold
    unvoiced_score = voicing_threshold + (2.0 - quiet * (1 + voicing_threshold)).clamp_min(0.0)
    score = torch.cat([voiced_score, unvoiced_score[..., None]], dim=-1)
    path = _best_path(score, _transition_cost(bins, hop_seconds))
    voiced = path < len(bins)
    lag = _refine(correlation, lag_rate / bins[path.clamp_max(len(bins) - 1)])
    # Unvoiced frames carry the last voiced f0, so that f0 is continuous.
    return Pitch(_hold(lag_rate / lag, voiced, f_min), voiced)


def lags_per_sample(sample_rate: int, f_max: float = _HIGHEST_HZ) -> int:
    """Number of lags of `autocorrelation` per sample; 1 from 16 kHz up for F0 up to 600 Hz."""
    return math.ceil(round(_LAGS_PER_PERIOD * max(f_max, _HIGHEST_HZ)) / sample_rate)


def autocorrelation(
    audio: Tensor,
    *,
    sample_rate: int,
    hop_length: int,
    padding: Padding = "same",
    f_min: float = 60.0,
    f_max: float = _HIGHEST_HZ,
    lowpass: bool = True,
) -> tuple[Tensor, Tensor]:
    """Normalised autocorrelation and peak level of frames three periods of `f_min` long.

    The last axis is the lag, in steps of 1 / `lags_per_sample` samples, up to a little more than
    one period of `f_min`.

    Shape: [B, T] → [B, F, L], [B, F].

    Args:
        audio: Mono signals.
        sample_rate: Sample rate in Hz.
        hop_length: Samples between frames.
        padding: Position of the frames, see `vocoder.dsp.stft`.
        f_min: Lowest fundamental in Hz.
        f_max: Highest fundamental in Hz, for which lags must be fine enough.
        lowpass: Whether what lies above 2.5 to 4 kHz is left out.
    """
    size = 2 * round(1.5 * sample_rate / f_min)
    left, right = padding_amounts(size, hop_length, padding)
    if left < 0:  # a hop longer than the window: cut the signal instead of padding it
        size += 2 * -left
        left, right = padding_amounts(size, hop_length, padding)
    frames = F.pad(audio, (left, right)).unfold(-1, size, hop_length)  # [B, F, N]
    frames = frames - frames.mean(-1, keepdim=True)
    window = torch.hann_window(size, device=audio.device)
    n_fft = 1 << (size + math.ceil(sample_rate / f_min) + 2).bit_length()
    fine = lags_per_sample(sample_rate, f_max)
    lags = math.ceil(fine * sample_rate / f_min) + 6
    power = torch.fft.rfft(frames * window, n=n_fft).abs().square()
    if lowpass:
        hz = torch.linspace(0.0, sample_rate / 2, n_fft // 2 + 1, device=audio.device)
        low, high = _LOWPASS_HZ
        power = power * (
            0.5 + 0.5 * torch.cos(math.pi * ((hz - low) / (high - low)).clamp(0.0, 1.0))
        )
    correlation = torch.fft.irfft(power, n=fine * n_fft)[..., :lags]
    own = torch.fft.irfft(torch.fft.rfft(window, n=n_fft).abs().square(), n=fine * n_fft)[:lags]
    normalised = correlation / correlation[..., :1].clamp_min(1e-9) / (own / own[0])
    return normalised, frames.abs().amax(-1)


def _interpolate(correlation: Tensor, lag: Tensor) -> Tensor:
    """Values at fractional lags [P] by linear interpolation. Shape: [B, F, L] → [B, F, P]."""
    below = lag.floor().long()
    share = lag - below
    return correlation[..., below] * (1 - share) + correlation[..., below + 1] * share


def _transition_cost(bins: Tensor, seconds: float) -> Tensor:
    """Cost of each transition between states; the last one is "unvoiced". Shape: [P + 1, P + 1]."""
    scale = 0.01 / seconds
    octaves = torch.log2(bins)
    cost = F.pad((octaves[:, None] - octaves).abs() * _JUMP_COST, (0, 1, 0, 1), value=_SWITCH_COST)
    cost[-1, -1] = 0.0
    return cost * scale


def _best_path(score: Tensor, cost: Tensor) -> Tensor:
    """Viterbi: the states that maximise summed score less transition cost. [B, F, S] → [B, F]."""
    total, back = score[:, 0], []
    for frame in range(1, score.shape[1]):
        best, previous = (total[:, :, None] - cost).max(dim=1)
        total = best + score[:, frame]
        back.append(previous)
    state = total.argmax(-1)
    path = [state]
    for previous in reversed(back):
        state = previous.gather(1, state[:, None])[:, 0]
        path.append(state)
    return torch.stack(path[::-1], dim=1)


def _hold(f0: Tensor, voiced: Tensor, otherwise: float) -> Tensor:
    """Replace unvoiced frames by the voiced one before, or the first after. [B, F] → [B, F]."""
    frames = torch.arange(f0.shape[1], device=f0.device).expand_as(f0)
    last = torch.where(voiced, frames, -1).cummax(dim=1).values
    first = voiced.int().argmax(dim=1, keepdim=True)
    source = torch.where(last < 0, first, last)
    # Without any voiced frame, `source` points at an unvoiced one.
    return torch.where(voiced, f0, otherwise).gather(1, source)


def _refine(correlation: Tensor, lag: Tensor) -> Tensor:
    """Move each lag to the top of the parabola through the peak beside it. [B, F] → [B, F]."""
    offsets = torch.arange(-3, 4, device=lag.device)
    near = (lag.round().long()[..., None] + offsets).clamp(1, correlation.shape[-1] - 2)
    peak = near.gather(-1, correlation.gather(-1, near).argmax(-1, keepdim=True))
    left, top, right = (correlation.gather(-1, peak + step)[..., 0] for step in (-1, 0, 1))
    curvature = (left - 2 * top + right).clamp_max(-1e-6)
    shift = (0.5 * (left - right) / curvature).clamp(-0.5, 0.5)
    return peak[..., 0] + shift
