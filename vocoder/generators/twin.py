"""Upsampling without a pattern of its own: a deconvolution less its twin, and a low-pass."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vocoder.dsp.lowpass import kaiser_sinc
from vocoder.nn.conv import ConvTranspose1d

LOBES = 3  # of the low-pass at either side, as in the anti-aliased activations


class EvenOverlap(nn.Module):
    """The weight of a transposed convolution less that of its twin.

    An output sample of phase r, r < `stride`, sums the taps r, r + stride, …. A constant comes out
    constant only if these sums agree; otherwise it rings at the input's rate and its multiples. The
    twin's weight is what each sum has above their mean, spread evenly over the phase's taps. With
    it gone the mean response is what it was, and an even weight stays as it is.

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
        """What remains of the weight."""
        sums = self._sums(weight)
        twin = ((sums - sums.mean(-1, keepdim=True)) / self.overlap).repeat(1, 1, self.periods)
        return weight - F.pad(twin, (0, -self.pad))

    def _sums(self, taps: Tensor) -> Tensor:
        """Sum of the taps of every phase.   Shape: […, kernel_size] → […, stride]."""
        whole = F.pad(taps, (0, self.pad))
        return torch.unflatten(whole, -1, (self.periods, self.stride)).sum(-2)


class PolyphaseLowPass(nn.Module):
    """Keep what a signal could hold before it was upsampled by `rate`.

    A Kaiser-windowed sinc of six lobes, half down at the old Nyquist frequency; edges are held.

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
    """Upsample by `deconv` less its twin, and with `anti_aliased` by a low-pass after it.

    The twin is a deconvolution of the same kernel and stride that answers a constant with the
    pattern which `deconv` would print on it (`EvenOverlap`). Both are linear, so their difference
    is computed as one deconvolution, at no cost and still so after weight norm is folded. What the
    twin removes is exact for constants; the images of all else are the low-pass's to remove. The
    weight of `deconv` is changed in place.

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
