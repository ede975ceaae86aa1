"""GAN-TTS's discriminators: short windows cut at random, scored alone or together with the mel."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.discriminators.period import fold
from vocoder.dsp.stft import pad_reflect
from vocoder.errors import ConfigError
from vocoder.nn.conv import same_padding
from vocoder.nn.weight_norm import normalise


class DownBlock(nn.Module):
    """Residual block that divides the rate of its input by `factor`; GAN-TTS's DBlock.

    Shape: [B, in_channels, T] → [B, out_channels, T // factor].
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv1 = _conv(in_channels, out_channels, 3)
        self.conv2 = _conv(out_channels, out_channels, 3, dilation=2)
        self.shortcut = _conv(in_channels, out_channels, 1)

    def forward(self, x: Tensor, condition: Tensor | float = 0.0) -> Tensor:
        """Downsample; `condition` is added between the convolutions."""
        x = F.avg_pool1d(x, self.factor)
        hidden = self.conv1(F.relu(x)) + condition
        y: Tensor = self.shortcut(x) + self.conv2(F.relu(hidden))
        return y


class WindowDiscriminator(nn.Module):
    """Discriminator of one window of audio, with or without its mel: a single logit.

    The paper averages the last map to a scalar; here a convolution of kernel 1 weighs its channels
    first. There are no feature maps, because no two windows match.

    Args:
        folds: Consecutive samples of each audio channel that are stacked as channels.
        factors: Factors by which the blocks divide the rate.
        channels: Width of the first block.
        audio_channels: Channels of the signals.
        n_mels: Mel bands, given to the last downsampling block frame by frame; None without mel.
    """

    def __init__(
        self,
        folds: int,
        factors: Sequence[int],
        *,
        channels: int,
        audio_channels: int,
        n_mels: int | None = None,
    ) -> None:
        super().__init__()
        self.folds = folds
        slow = len(factors) if n_mels is None else len(factors) - 1
        widths = [channels, *(channels * (2 if i < slow // 2 else 4) for i in range(slow))]
        blocks = [DownBlock(folds * audio_channels, channels, 1)]
        blocks += map(DownBlock, widths, widths[1:], factors)
        width = widths[-1]
        if n_mels is not None:
            self.meeting = DownBlock(width, 2 * width, factors[-1])
            self.condition = _conv(n_mels, 2 * width, 1)
            width *= 2
        self.blocks = nn.Sequential(*blocks)
        self.last_blocks = nn.Sequential(DownBlock(width, width, 1), DownBlock(width, width, 1))
        self.conv_post = _conv(width, 1, 1)

    def forward(self, window: Tensor, mel: Tensor | None = None) -> DiscriminatorOutput:
        """Score one window.   Shape: window [B, C, T], mel [B, M, F] → logits [B, 1]."""
        x = fold(window, self.folds).transpose(2, 3).flatten(1, 2)  # [B, C * folds, T / folds]
        x = self.blocks(x)
        if mel is not None:
            x = self.meeting(x, self.condition(mel))
        return DiscriminatorOutput(self.conv_post(self.last_blocks(x)).mean(-1), [])


class RandomWindow(nn.Module):
    """GAN-TTS's unconditional discriminator: windows of several sizes, cut at random in every call.

    Each of the sizes `windows`, in samples, has its own sub-discriminator. All windows are folded
    to the length of the shortest, by stacking consecutive samples as channels, and then downsampled
    by the product of their `factors`. `channels` is the first layer's width. Takes signals of any
    length (a short one is padded at its end by reflection) with `audio_channels` channels. Real and
    fake are cut at different places (the paper samples fragments of either), so there are no
    feature maps to match. In evaluation mode the window lies in the middle.
    6.72 M weights at the defaults.   Bińkowski et al. 2020 (GAN-TTS).
    """

    def __init__(
        self,
        *,
        windows: Sequence[int] = (240, 480, 960, 1920, 3600),
        factors: Sequence[Sequence[int]] = ((5, 3), (5, 3), (5, 3), (5, 3), (2, 2)),
        channels: int = 64,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        _check_pairs("windows", windows, factors, channels)
        length = min(windows)
        if any(window % length for window in windows):
            raise ConfigError(f"windows {list(windows)}: make all multiples of the shortest")
        if any(math.prod(each) > length for each in factors):
            raise ConfigError(f"factors {factors}: their products may be at most {length}")
        self.windows = tuple(windows)
        self.discriminators = nn.ModuleList(
            WindowDiscriminator(
                window // length, each, channels=channels, audio_channels=audio_channels
            )
            for window, each in zip(windows, factors, strict=True)
        )

    def forward(self, audio: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal: one output per window.   Shape: audio [B, C, T]."""
        outputs = []
        for size, discriminator in zip(self.windows, self.discriminators, strict=True):
            start = _start(audio.shape[-1], size, drawn=self.training)
            outputs.append(discriminator(_cut(audio, start, size)))
        return outputs


class ConditionalRandomWindow(nn.Module):
    """GAN-TTS's conditional discriminator: random windows of audio, each scored with its mel.

    So it also scores whether the audio fits the mel. Windows begin with a frame. Each is folded so
    that its `factors` downsample it to the rate of the mel. A signal with fewer frames than a
    window is padded at its end by reflection, and so is the mel. 28.15 M weights for the paper's
    windows of 2, 4, 8, 16 and 30 frames of 120 samples.
    Bińkowski et al. 2020 (GAN-TTS), with a mel for linguistic features.

    Args:
        n_mels: Bands of the feature `mel`.
        hop_length: Samples in a frame of the mel.
        frames: Sizes of the windows in frames.
        factors: Factors by which the blocks for each window divide the rate.
        channels: Width of the first layer.
        audio_channels: Channels of the signals.
    """

    features = ("mel",)

    def __init__(
        self,
        *,
        n_mels: int = 80,
        hop_length: int,
        frames: Sequence[int],
        factors: Sequence[Sequence[int]],
        channels: int = 64,
        audio_channels: int = 1,
    ) -> None:
        super().__init__()
        _check_pairs("frames", frames, factors, channels)
        if any(hop_length % math.prod(each) for each in factors):
            raise ConfigError(
                f"factors {factors}: make every product a divisor of hop_length {hop_length}"
            )
        self.hop_length, self.frames = hop_length, tuple(frames)
        self.discriminators = nn.ModuleList(
            WindowDiscriminator(
                hop_length // math.prod(each),
                each,
                channels=channels,
                audio_channels=audio_channels,
                n_mels=n_mels,
            )
            for each in factors
        )

    def forward(self, audio: Tensor, *, mel: Tensor) -> list[DiscriminatorOutput]:
        """Score the signal with its mel: one output per window.

        Shape: audio [B, C, T], mel [B, M, F] with F >= T // hop.
        """
        hop = self.hop_length
        common = min(mel.shape[-1], audio.shape[-1] // hop)
        outputs = []
        for size, discriminator in zip(self.frames, self.discriminators, strict=True):
            start = _start(common, size, drawn=self.training)
            window = _cut(audio, start * hop, size * hop)
            outputs.append(discriminator(window, _cut(mel, start, size)))
        return outputs


def _start(length: int, size: int, *, drawn: bool) -> int:
    """Start of a window of `size`: drawn among all places where it fits, or the middle."""
    last = max(length - size, 0)
    # Drawn on the CPU: a device would have to be waited for.
    return int(torch.randint(last + 1, (), device="cpu")) if drawn else last // 2


def _cut(signal: Tensor, start: int, size: int) -> Tensor:
    """A window, padded by reflection where the signal ends.   Shape: [B, C, T] → [B, C, size]."""
    window = signal[..., start : start + size]
    return pad_reflect(window, 0, size - window.shape[-1])


def _check_pairs(
    name: str, sizes: Sequence[int], factors: Sequence[Sequence[int]], channels: int
) -> None:
    if min(sizes, default=0) < 1 or channels < 1:
        raise ConfigError(f"{name} {list(sizes)} and channels {channels} must be positive")
    if len(sizes) != len(factors) or not all(min(each, default=0) >= 1 for each in factors):
        raise ConfigError(f"factors {factors}: give a list of positive factors for each of {name}")


def _conv(in_channels: int, out_channels: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
    padding = same_padding(kernel, dilation)
    conv = nn.Conv1d(in_channels, out_channels, kernel, padding=padding, dilation=dilation)
    nn.init.orthogonal_(conv.weight)
    return normalise(conv, "spectral")
