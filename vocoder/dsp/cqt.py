"""Constant-Q transform: bins at equal musical steps, each over the same number of periods.

Every octave is taken with the filters of the highest one, from a signal halved in rate once for
each octave below it (Schörkhuber and Klapuri 2010). The bins of an octave are therefore a few
filters of a few hundred samples, whichever octave it is, and gradients pass through all of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.errors import ConfigError

_HALVING_TAPS = 256
_DOUBLING_REACH = 7  # input samples on either side
_BLOCK = 64


@dataclass(frozen=True, kw_only=True)
class CQTSpec:
    """Settings of a constant-Q transform: rate, hop and frequencies of the bins.

    Raises ConfigError unless the highest bin lies below half the rate and the hop can be halved
    once for each octave but the highest.
    """

    sample_rate: int
    """Sample rate in Hz."""
    hop_length: int
    """Samples between frames."""
    octaves: int = 9
    """Number of octaves."""
    bins_per_octave: int = 24
    """Bins in each octave."""
    f_min: float = 32.7
    """Center of the lowest bin in Hz."""

    def __post_init__(self) -> None:
        sizes = (self.sample_rate, self.hop_length, self.octaves, self.bins_per_octave, self.f_min)
        if min(sizes) <= 0:
            raise ConfigError(f"all numbers must be positive in {self}")
        halvings = 2 ** (self.octaves - 1)
        if self.hop_length % halvings:
            raise ConfigError(
                f"hop_length {self.hop_length} cannot be halved for each of {self.octaves} "
                f"octaves; make it a multiple of {halvings}"
            )
        highest = self.f_min * 2.0 ** (self.octaves - 1 / self.bins_per_octave)
        if highest >= self.sample_rate / 2:
            excess = 1 + math.floor(math.log2(2 * highest / self.sample_rate))
            raise ConfigError(
                f"{self.octaves} octaves from {self.f_min} Hz end at {highest:.0f} Hz, beyond half "
                f"the rate, {self.sample_rate} Hz; set octaves to {self.octaves - excess} or less"
            )

    def frequencies(self) -> Tensor:
        """Center of each bin in Hz, ascending.   Shape: [octaves, bins_per_octave], float64."""
        steps = torch.arange(self.octaves * self.bins_per_octave, dtype=torch.float64)
        hertz = self.f_min * 2.0 ** (steps / self.bins_per_octave)
        return hertz.reshape(self.octaves, self.bins_per_octave)

    def lengths(self) -> Tensor:
        """Length of each bin's filter in samples.   Shape: [octaves, bins_per_octave], float64."""
        return torch.ceil(self.quality * self.sample_rate / self.frequencies())

    @property
    def quality(self) -> float:
        """Center over width of each bin, the number of periods in its filter."""
        return 1.0 / float(2.0 ** (1.0 / self.bins_per_octave) - 1.0)


def cqt_kernels(spec: CQTSpec) -> Tensor:
    """Filters that `cqt` applies: real parts of all bins of an octave, then imaginary ones.

    The filters are those of the highest octave, Hann-windowed and of unit sum of magnitudes. The
    octaves differ by √length of their bins, which gives noise the same level in all.

    Shape: [octaves, n_fft, 2 * bins_per_octave]; n_fft is a power of two.
    """
    longest = math.ceil(spec.quality * spec.sample_rate / (spec.f_min * 2.0 ** (spec.octaves - 1)))
    n_fft = 1 << (longest - 1).bit_length()
    time = torch.arange(n_fft, dtype=torch.float64)[:, None] - n_fft // 2
    lengths = spec.lengths()
    place = time + torch.ceil(lengths[-1] / 2)  # [n_fft, K]
    inside = (place >= 0) & (place < lengths[-1])
    window = torch.sin(math.pi * place / lengths[-1]).square() * inside
    window = window / window.sum(0) * lengths[:, None].sqrt()  # [octaves, n_fft, K]
    angle = 2.0 * math.pi * time * spec.frequencies()[-1] / spec.sample_rate
    return torch.cat([window * angle.cos(), -window * angle.sin()], dim=-1).float()


def cqt(levels: Sequence[Tensor], kernels: Tensor, *, hop_length: int) -> Tensor:
    """Constant-Q transform: real and imaginary parts of every bin, the lowest octave first.

    `levels` are at least as many `octave_levels` as `kernels` have octaves; beyond their ends lies
    silence. `hop_length` is in samples of the first. Frame f is centered on sample f * hop_length,
    octave o below the highest (2^o - 1) / 2 samples later, the delay of the halving filters.

    Away from the ends this is the transform by definition, with that delay, to 0.1 % of the largest
    bin. `librosa.cqt` (norm=1, scale=True, filter_scale for filters as long) centers all octaves
    and rounds lengths of filters down, not up: magnitudes of noise at 48 kHz and 24 bins an octave
    differ by 3 % of the largest at most, 1.5 % RMS, and by less the longer the filters are.

    Shape: N * [B, T // 2^o] → [B, octaves, 2, T // hop_length + 1, bins_per_octave].
    """
    octaves, n_fft, _ = kernels.shape
    bins = []
    for octave, kernel in enumerate(kernels):
        below = octaves - 1 - octave
        padded = F.pad(levels[below], (n_fft // 2, n_fft // 2))
        frames = padded.unfold(-1, n_fft, hop_length >> below)
        bins.append((frames @ kernel).reshape(*frames.shape[:2], 2, -1))  # [B, F, 2, K]
    return torch.stack(bins, dim=1).transpose(2, 3)


def octave_levels(audio: Tensor, filters: Tensor, octaves: int) -> list[Tensor]:
    """The signal, padded with silence to 2^(octaves - 1) samples, and its repeated halvings.

    Shape: [B, T] → octaves * [B, max(T, 2^(octaves - 1)) // 2^o].
    """
    levels = [F.pad(audio, (0, max(2 ** (octaves - 1) - audio.shape[-1], 0)))]
    for _ in range(octaves - 1):
        levels.append(halve_rate(levels[-1], filters))
    return levels


def halving_filters() -> Tensor:
    """Filters for `halve_rate`: the low-pass of nnAudio's constant-Q transform.

    The gain is 1 below a quarter of the rate and 0 above, sampled at 257 frequencies, with a
    Hamming window over the impulse response, which is then this in closed form.
    """
    time = torch.arange(_HALVING_TAPS, dtype=torch.float64) - (_HALVING_TAPS - 1) / 2
    turn = math.pi * time / (2 * _HALVING_TAPS)
    ideal = torch.sin(math.pi / 2 * time) / torch.tan(turn) / (2 * _HALVING_TAPS)
    taps = ideal * torch.hamming_window(_HALVING_TAPS, periodic=False, dtype=torch.float64)
    shifts = range(0, 2 * _BLOCK, 2)
    return torch.stack([F.pad(taps, (i, shifts[-1] - i)) for i in shifts], dim=1).float()


def doubling_filters() -> Tensor:
    """Filters for `double_rate`: the sinc interpolation of torchaudio's `Resample`.

    Its defaults: six zero crossings under a Hann window, a cutoff of 0.99 times Nyquist.
    """
    taps = torch.arange(-_DOUBLING_REACH, _DOUBLING_REACH + 1, dtype=torch.float64)
    time = 0.99 * (taps - torch.tensor([[0.0], [0.5]], dtype=torch.float64))  # [2, 15]
    window = torch.cos(math.pi / 12 * time.clamp(-6.0, 6.0)).square()
    phases = 0.99 * torch.sinc(time) * window
    shifted = [F.pad(phases, (i, _BLOCK - 1 - i)) for i in range(_BLOCK)]  # _BLOCK * [2, size]
    return torch.cat(shifted).T.float()


def halve_rate(audio: Tensor, filters: Tensor) -> Tensor:
    """Halve the rate, with a delay of half a sample.   Shape: [B, T] → [B, T // 2], T >= 2."""
    return _by_blocks(audio, filters, 2 * filters.shape[1])


def double_rate(audio: Tensor, filters: Tensor) -> Tensor:
    """Double the rate, without delay.   Shape: [B, T] → [B, 2 T]."""
    return _by_blocks(audio, filters, filters.shape[1] // 2)


def _by_blocks(audio: Tensor, filters: Tensor, step: int) -> Tensor:
    """Filter with silence outside; each `step` samples make a block of outputs.

    Each column of `filters` makes one sample of the block. As matrix products the halvings take a
    tenth of the time, and their gradients a thirtieth, of single-channel convolutions.

    Shape: [B, T], [size, block] → [B, T * block // step].
    """
    size, block = filters.shape
    samples = audio.shape[-1] * block // step
    blocks = -(-samples // block)
    left = (size - step) // 2
    right = (blocks - 1) * step + size - left - audio.shape[-1]
    frames = F.pad(audio, (left, right)).unfold(-1, size, step)  # [B, blocks, size]
    return (frames @ filters).flatten(1)[:, :samples]
