"""Upsampling without deconvolution artefacts: a deconvolution minus its twin, and a low-pass."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vocoder.dsp.lowpass import kaiser_sinc
from vocoder.nn.conv import ConvTranspose1d

LOBES = 3  # of the low-pass on either side, as in the anti-aliased activations


class EvenOverlap(nn.Module):
    """Parametrisation of a transposed convolution's weight: the weight minus that of its twin.

    An output sample of phase r, r < `stride`, sums the taps r, r + stride, …. A constant input
    gives a constant output only if these sums agree; otherwise the output has tones at the input's
    rate and its multiples. The twin's weight is the difference of each sum from their mean, spread
    evenly over the taps of the phase. Subtracting it does not change the mean response, nor a
    weight whose sums agree.

    Shape: [in_channels, out_channels, kernel_size] → same.
    """

    overlap: Tensor

    def __init__(self, kernel_size: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.pad = -kernel_size % stride
        self.periods = (kernel_size + self.pad) // stride
        self.register_buffer("overlap", self._sums(torch.ones(kernel_size)), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """Subtract the twin's weight."""
        sums = self._sums(weight)
        twin = ((sums - sums.mean(-1, keepdim=True)) / self.overlap).repeat(1, 1, self.periods)
        return weight - F.pad(twin, (0, -self.pad))

    def _sums(self, taps: Tensor) -> Tensor:
        """Sum of the taps of every phase.   Shape: […, kernel_size] → […, stride]."""
        whole = F.pad(taps, (0, self.pad))
        return torch.unflatten(whole, -1, (self.periods, self.stride)).sum(-2)


class PolyphaseLowPass(nn.Module):
    """Low-pass filter at the Nyquist frequency that a signal had before upsampling by `rate`.

    A Kaiser-windowed sinc of six lobes with a gain of one half at that frequency. Beyond the ends,
    the first and last sample are repeated.

    Shape: [B, channels, T] → same.
    """

    taps: Tensor

    def __init__(self, channels: int, *, rate: int) -> None:
        super().__init__()
        self.channels = channels
        self.reach = LOBES * rate
        taps = kaiser_sinc(2 * self.reach + 1, cutoff=0.5 / rate, half_width=0.6 / rate)
        self.register_buffer("taps", taps, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Filter every channel."""
        x = F.pad(x, (self.reach, self.reach), mode="replicate")
        return F.conv1d(x, self.taps.expand(self.channels, 1, -1), groups=self.channels)


class TwinDeconvolution(nn.Module):
    """Upsample by `deconv` minus its twin, with `anti_aliased` followed by a low-pass.

    The twin is a deconvolution of the same kernel and stride that gives, for a constant, the
    artefact of `deconv` (`EvenOverlap`). Both are linear, so their difference is computed as one
    deconvolution, at no cost, also after weight norm is folded. The twin removes the artefact
    exactly for constants; images of other signals are removed by the low-pass. The weight of
    `deconv` is changed in place.

    Shape: [B, in_channels, T] → [B, out_channels, T * stride].
    After Shen et al. 2024 (FA-GAN): the module's name and purpose are theirs, the design is ours.
    """

    def __init__(self, deconv: ConvTranspose1d, *, anti_aliased: bool) -> None:
        super().__init__()
        (kernel_size,), (stride,) = deconv.kernel_size, deconv.stride
        even = EvenOverlap(kernel_size, stride=stride)
        parametrize.register_parametrization(deconv, "weight", even)
        self.deconv = deconv
        self.low_pass = (
            PolyphaseLowPass(deconv.out_channels, rate=stride) if anti_aliased else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Upsample."""
        y: Tensor = self.low_pass(self.deconv(x))
        return y
