"""Penalty on the spectral fluctuation of noise that a generator has among its weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vocoder.dsp.resolutions import resolutions_from
from vocoder.dsp.stft import hann_window
from vocoder.errors import ConfigError

_SLICE = 16384  # samples of the noise that are measured in a step
_FLOOR = 1e-6


class NoiseEvenness(nn.Module):
    """Mean deviation of the log-spectra of a generator's `noise` [T] from flat, in nepers.

    Gaussian noise has 0.49: its spectrogram fluctuates randomly, and so does that of filtered
    noise. Noise trained to be even at all `resolutions` (n_fft, hop_length, win_length) at once,
    0.27 in the embedded extender, is still normally distributed.

    Maps a generator to an unweighted scalar in float32. Raises ConfigError if it has no `noise`.
    """

    def __init__(
        self,
        *,
        resolutions: Sequence[Sequence[int]] = (
            (512, 128, 512),
            (1024, 256, 1024),
            (2048, 512, 2048),
        ),
    ) -> None:
        super().__init__()
        self.resolutions = resolutions_from(resolutions)

    def forward(self, generator: nn.Module) -> Tensor:
        """Scalar."""
        noise = getattr(generator, "noise", None)
        if not isinstance(noise, nn.Parameter):
            raise ConfigError(
                f"{type(generator).__name__} has no noise; use this penalty with a generator that "
                "has a parameter `noise`"
            )
        begin = int(torch.randint(noise.shape[0], ()))
        part = torch.roll(noise.float(), -begin)[:_SLICE]
        return torch.stack([_deviation(part, *each) for each in self.resolutions]).mean()


def _deviation(noise: Tensor, n_fft: int, hop_length: int, win_length: int) -> Tensor:
    window = hann_window(win_length, n_fft).to(noise.device)
    bins = torch.stft(noise, n_fft, hop_length, window=window, center=False, return_complex=True)
    power = (bins.real.square() + bins.imag.square()) / window.square().sum()
    level = 0.5 * torch.log(power / power.mean().detach() + _FLOOR)
    return (level - level.mean()).abs().mean()
