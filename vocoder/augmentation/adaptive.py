"""Adaptive discriminator augmentation for small corpora."""

from collections.abc import Mapping

import torch
from torch import Tensor

from vocoder.augmentation.base import AdaptiveStrength
from vocoder.errors import ConfigError

_OCTAVES = 8  # bands of the random equaliser, downwards from Nyquist


class AdaptiveAugmentation(AdaptiveStrength):
    """Random gain, polarity, circular shift, equaliser and noise, each in `p` of all items.

    The noise samples, too, are the same in every signal, so that feature matching compares only
    what differs in the signals. Features are not shifted along: with conditional discriminators set
    `shift` to 0.

    Why this does not leak into the generator: equal augmented distributions imply equal
    distributions if the augmentation as an operator on distributions has an inverse. Its
    eigenvalues are 1 - p + p φ, with φ from the characteristic function of the random parameter:
    above 0 for the gains and the noise, at least 0 for the polarity, and at least -0.22 (the sinc's
    least value) for the uniform shift. So none vanishes below p = 0.82; `p_max` leaves a margin.

    Karras et al. 2020 (ADA), sec. 2.2 and app. C; these operations are its audio counterparts.

    Args:
        boundary: Logit between real and fake, see `AdaptiveStrength`.
        target: Mean sign of real logits above which the strength rises.
        ramp_items: Items of all processes within which `p` moves from 0 to 1 if it always rises.
        p: Strength at the start, the probability of each operation.
        p_max: Largest strength.
        gain_db: Standard deviation of the gain.
        shift: Largest shift in either direction, as a fraction of the length.
        filter_db: Standard deviation of the equaliser's gain in each octave.
        noise_std: Standard deviation of the normal variable whose magnitude is the noise level.
    """

    def __init__(
        self,
        *,
        boundary: float,
        target: float = 0.6,
        ramp_items: int = 500_000,
        p: float = 0.0,
        p_max: float = 0.8,
        gain_db: float = 6.0,
        shift: float = 0.125,
        filter_db: float = 6.0,
        noise_std: float = 0.01,
    ) -> None:
        super().__init__(boundary=boundary, target=target, ramp_items=ramp_items, p=p, p_max=p_max)
        strengths = {"gain_db": gain_db, "filter_db": filter_db, "noise_std": noise_std}
        for name, value in strengths.items():
            if value < 0.0:
                raise ConfigError(f"{name} is {value}; it must not be negative")
        if not 0.0 <= shift <= 0.5:
            raise ConfigError(f"shift is {shift}; it must lie between 0 and 0.5 of the length")
        self.gain_db, self.shift = gain_db, shift
        self.filter_db, self.noise_std = filter_db, noise_std

    def augment(self, x: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """Augment every item alike in all signals.   Shape: [S, B, C, T] → same."""
        _, batch, _, samples = x.shape
        gain = 10.0 ** (self._sometimes(self.gain_db * torch.randn(batch)) / 20.0)
        sign = 1.0 - 2.0 * self._sometimes(torch.rand(batch).round())
        largest = self.shift * samples
        shift = self._sometimes(largest * (2.0 * torch.rand(batch) - 1.0)).round().long()
        octaves = self._sometimes(self.filter_db * torch.randn(batch, _OCTAVES))
        std = self._sometimes(self.noise_std * torch.randn(batch).abs())
        noise = std[:, None, None] * torch.randn(x.shape[1:])
        x = x * (gain * sign).to(x.device)[:, None, None]
        x = equalise(roll(x, shift.to(x.device)), octaves.to(x.device))
        return x + noise.to(x.device)

    def _sometimes(self, drawn: Tensor) -> Tensor:
        """Keep each item's value with probability `p`, else 0.   Shape: [B, …] → same."""
        chosen = torch.rand(len(drawn)) < self.p.item()
        return drawn * chosen.reshape(-1, *[1] * (drawn.dim() - 1))


def roll(x: Tensor, shift: Tensor) -> Tensor:
    """Shift item b circularly by `shift[b]` samples towards the end.

    Shape: [S, B, C, T], [B] → [S, B, C, T].
    """
    index = (torch.arange(x.shape[-1], device=x.device) - shift[:, None]) % x.shape[-1]
    return x.gather(-1, index[:, None].expand_as(x))


def equalise(x: Tensor, octave_db: Tensor) -> Tensor:
    """Scale octave o below Nyquist by `octave_db[b, o]`, linear in dB between octave centers.

    Zero phase and circular; below the last octave its gain is held. An item with all gains 0 is
    returned unchanged.

    Shape: [S, B, C, T], [B, O] → [S, B, C, T].
    """
    samples, octaves = x.shape[-1], octave_db.shape[1]
    below = -torch.log2(2.0 * torch.fft.rfftfreq(samples, device=x.device))
    below = below.clamp(0.0, octaves - 1.0)  # octaves below Nyquist, infinite at 0 Hz
    centers = torch.arange(octaves, device=x.device)[:, None]
    hats = (1.0 - (below - centers).abs()).clamp_min(0.0)  # [O, K]
    gain = 10.0 ** (octave_db @ hats / 20.0)  # [B, K]
    filtered = torch.fft.irfft(torch.fft.rfft(x) * gain[:, None], n=samples)
    flat = (octave_db == 0.0).all(dim=1)
    return torch.where(flat[:, None, None], x, filtered)
