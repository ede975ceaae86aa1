"""Short-time spectra, and convolutions over them, for the discriminators of spectra."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.dsp.stft import Padding, pad_reflect, padding_amounts
from vocoder.errors import ConfigError
from vocoder.kernels.switch import kernels_allowed

Framing = Padding | Literal["none"]
_FRAMINGS = ("same", "center", "none")


class Spectrum(nn.Module):
    """Complex short-time spectra of signals of any length, in float32.

    `window` has n_fft samples and is not part of the state. `padding` is that of
    `vocoder.dsp.stft`, or "none": frame f begins on sample f * hop. A signal that is too short for
    a frame is padded at its end by reflection.
    """

    window: Tensor

    def __init__(self, window: Tensor, *, hop_length: int, padding: Framing) -> None:
        super().__init__()
        if padding not in _FRAMINGS:
            raise ConfigError(f"padding is {padding!r}; choose from {_FRAMINGS}")
        self.register_buffer("window", window, persistent=False)
        self.hop_length = hop_length
        self.padding = padding

    def forward(self, audio: Tensor) -> Tensor:
        """Complex bins, at least one frame.   Shape: [B, C, T] → [B, C, K, F]."""
        n_fft, padding = len(self.window), self.padding
        least = n_fft if padding == "none" else self.hop_length
        with torch.autocast(audio.device.type, enabled=False):
            signals = audio.to(self.window).flatten(0, 1)
            signals = pad_reflect(signals, 0, max(least - audio.shape[-1], 0))
            if padding != "none":
                signals = pad_reflect(signals, *padding_amounts(n_fft, self.hop_length, padding))
            bins = torch.stft(
                signals,
                n_fft,
                self.hop_length,
                window=self.window,
                center=False,
                return_complex=True,
            )
        return bins.reshape(*audio.shape[:2], *bins.shape[1:])


def rectangular_window(win_length: int, n_fft: int) -> Tensor:
    """Rectangular window of `win_length` ones, centered in zeros.   Shape: [n_fft]."""
    left = (n_fft - win_length) // 2
    return F.pad(torch.ones(win_length), (left, n_fft - win_length - left))


def real_and_imaginary(bins: Tensor) -> Tensor:
    """Stack the parts of complex bins as channels.   Shape: [B, C, K, F] → [B, 2 C, F, K]."""
    return torch.cat([bins.real, bins.imag], dim=1).transpose(2, 3)


def channels_last(maps: Tensor) -> Tensor:
    """The same maps with channels side by side in memory, where that is faster: on a CPU.

    Convolutions keep that order. PyTorch's with few channels then take half the time or less.
    """
    if maps.device.type != "cpu" or not kernels_allowed():
        return maps
    batch, channels, *size = maps.shape
    # By a flat copy: a single channel counts as ordered either way, and would stay as it is.
    return maps.movedim(1, -1).flatten().view(batch, *size, channels).movedim(-1, 1)


def map_conv(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
    dilation: int = 1,
) -> nn.Conv2d:
    """2-D convolution that divides the axes of a map by `stride`, rounding up.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Kernel size of both axes, odd.
        stride: Stride of both axes.
        dilation: Dilation of the first axis.
    """
    padding = (kernel[0] // 2 * dilation, kernel[1] // 2)
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation=(dilation, 1))
