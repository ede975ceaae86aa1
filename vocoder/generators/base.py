"""What every generator promises."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.nn.weight_norm import fold_weight_norm


class Generator(nn.Module):
    """A network from named features to audio.

    A subclass names in `features` what its `forward` takes by keyword: tensors whose last axis is F
    frames, `hop_length` samples apart, or the samples of F hops. `forward` returns audio
    [B, C, samples(F)] for any F >= 1, treats the items of a batch independently and can be traced
    (torch.fx, torch.export).
    """

    features: tuple[str, ...]
    double_precision: ClassVar[bool] = False
    """Whether inference computes partly in double precision, which some devices lack."""

    def __init__(self, *, hop_length: int) -> None:
        super().__init__()
        self.hop_length = hop_length

    def samples(self, frames: int) -> int:
        """Samples of audio that `frames` frames give, exactly."""
        return frames * self.hop_length

    def freeze(self) -> Self:
        """Make it ready for inference, in place: weight norm folded in, nothing left to train."""
        fold_weight_norm(self)
        return self.eval().requires_grad_(False)

    def auxiliary(self, real: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """Losses by name that the generator computes about itself in training; none by default.

        `real` is the recorded audio [B, C, T], `features` are what `forward` was given.
        """
        return {}

    def with_losses(self, real: Tensor, **features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Audio as `forward` makes it, and the losses of `auxiliary`: what training asks for.

        A generator whose losses are about what it computes on the way makes both at once.
        """
        return self(**features), self.auxiliary(real, **features)


class BandwidthExtender(Generator):
    """A generator from a recording without its upper band to the same recording with one.

    `narrowband` [B, 1, T] has the output's sample rate already, with nothing above the cutoff of its
    band, and T is a multiple of `hop_length`, the step at which the network can look at a signal.
    `forward` returns [B, 1, T], sample for sample the same moments. `cutoff_range` are the lowest and the
    highest frequency in Hz at which the band of its training ended. `resampling` names arguments of
    vocoder.dsp.resample.resample: the filter that takes recordings up to its rate, where it is used
    to a certain one.

    Raises ConfigError for cutoff_range that do not rise.
    """

    features = ("narrowband",)
    resampling: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, *, hop_length: int, cutoff_range: Sequence[float]) -> None:
        super().__init__(hop_length=hop_length)
        if len(cutoff_range) != 2 or not 0.0 < cutoff_range[0] <= cutoff_range[1]:
            raise ConfigError(
                f"generator.cutoff_range is {list(cutoff_range)}; give the lowest and the highest cutoff in Hz"
            )
        self.cutoff_range = (float(cutoff_range[0]), float(cutoff_range[1]))
