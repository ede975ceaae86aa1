"""Excitation signals of source-filter synthesis: pulses, sines and noise with flat spectra."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def pulse_train(f0: Tensor, *, hop_length: int, sample_rate: int) -> Tensor:
    """Band-limited pulses: all harmonics of `f0` up to Nyquist, equal in amplitude and phase.

    Between frame centers f0 is interpolated linearly. The power per Hz is that of white noise with
    unit variance at any pitch, so one filter fits both excitations.

    Shape: f0 [B, F] in Hz, positive → [B, F * hop_length].
    """
    # Double precision: after an hour the phase is 1e6 cycles, and 24 bits would be out of tune.
    hz = F.interpolate(f0.double()[:, None], scale_factor=float(hop_length), mode="linear")[:, 0]
    turns = (hz / sample_rate).cumsum(-1)
    pulses = _cosine_sum(turns - turns.round(), torch.floor(0.5 * sample_rate / hz))
    return (pulses * (2.0 * torch.sqrt(hz / sample_rate))).to(f0.dtype)


def _cosine_sum(phase: Tensor, harmonics: Tensor) -> Tensor:
    """Sum of cos(2 pi k phase) for k = 1 … harmonics, in closed form (Dirichlet kernel)."""
    denominator = torch.sin(math.pi * phase)
    at_pulse = denominator.abs() < 1e-4
    safe = torch.where(at_pulse, torch.ones_like(denominator), denominator)
    kernel = torch.sin(math.pi * (2 * harmonics + 1) * phase) / (2 * safe) - 0.5
    return torch.where(at_pulse, harmonics, kernel)


def harmonic_sines(f0: Tensor, harmonics: int, *, hop_length: int, sample_rate: int) -> Tensor:
    """Unit sines at 1, 2, … `harmonics` times `f0`, all of phase 0 at the start.

    The phase is accumulated frame by frame and interpolated linearly between frame centers; before
    the first and after the last it is constant.

    Shape: f0 [B, F] in Hz → [B, harmonics, F * hop_length].   Li et al. 2023 (HiFTNet), its code.
    """
    turns = (f0.double() * (hop_length / sample_rate)).cumsum(-1)[:, None]  # [B, 1, F]
    turns = F.interpolate(turns, scale_factor=float(hop_length), mode="linear")
    turns = turns * torch.arange(1, harmonics + 1, device=f0.device)[:, None]  # [B, harmonics, T]
    return torch.sin(2.0 * math.pi * (turns - turns.round())).to(f0.dtype)


def noise_table(samples: int = 1 << 16, seed: int = 0) -> Tensor:
    """White Gaussian noise of unit variance, fixed by the seed.   Shape: [samples]."""
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def indexed_noise(table: Tensor, like: Tensor, offset: Tensor | int = 0) -> Tensor:
    """Noise whose sample n depends on n alone, so that a stream equals a single call.

    `offset` (a number, or [B, 1]) is the position of sample 0 in `table`, which repeats.

    Shape: like [B, T] → [B, T].
    """
    position = torch.ones_like(like, dtype=torch.long).cumsum(-1) - 1 + offset
    return table[position % table.shape[0]]


def minimum_phase(log_magnitude: Tensor) -> Tensor:
    """Phase of the causal, stable filter with this log magnitude, by folding the real cepstrum.

    Shape: [B, K, F] in nepers → [B, K, F] in radians.   Oppenheim and Schafer, sec. 12.1.
    """
    n_fft = 2 * (log_magnitude.shape[1] - 1)
    cepstrum = torch.fft.irfft(log_magnitude.mT, n=n_fft)  # [B, F, n_fft]
    fold = torch.zeros(n_fft, device=cepstrum.device, dtype=cepstrum.dtype)
    fold[0] = fold[n_fft // 2] = 1.0
    fold[1 : n_fft // 2] = 2.0
    phase: Tensor = torch.fft.rfft(cepstrum * fold).imag.mT
    return phase
