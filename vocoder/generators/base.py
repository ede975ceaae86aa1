"""Base classes of generators: the interface that training, inference and streaming rely on."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from vocoder.errors import ConfigError
from vocoder.nn.weight_norm import fold_weight_norm

_MOST_ZEROS = 1000  # of a resampling filter, on each side


class Generator(nn.Module):
    """Base class of networks from named features to audio.

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
        """Exact number of audio samples for `frames` frames."""
        return frames * self.hop_length

    def freeze(self) -> Self:
        """Fold weight norm, switch to evaluation mode and freeze all weights, in place."""
        fold_weight_norm(self)
        return self.eval().requires_grad_(False)

    def auxiliary(self, real: Tensor, **features: Tensor) -> dict[str, Tensor]:
        """Training losses by name that the generator itself defines; none by default.

        `real` is the recorded audio [B, C, T], `features` are the arguments of `forward`.
        """
        return {}

    def with_losses(self, real: Tensor, **features: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the audio of `forward` and the losses of `auxiliary`, for a training step.

        A generator whose losses need intermediate results overrides it to compute both in one pass.
        """
        return self(**features), self.auxiliary(real, **features)


class BandwidthExtender(Generator):
    """Base class of generators from a band-limited recording to the same with an upper band.

    `narrowband` [B, 1, T] has the output's sample rate already, with nothing above its cutoff, and
    T is a multiple of `hop_length`, the step in samples at which the network works. `forward`
    returns [B, 1, T], aligned sample by sample. `cutoff_range` holds the lowest and the highest
    cutoff in Hz of the training data. `resampling` holds arguments of
    vocoder.dsp.resample.resample: the filter by which recordings are brought to the network's rate,
    where it was trained with a certain one.

    Raises ConfigError unless 0 < lowest <= highest cutoff, and for impossible resampling.
    """

    features = ("narrowband",)

    def __init__(
        self,
        *,
        hop_length: int,
        cutoff_range: Sequence[float],
        resampling: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(hop_length=hop_length)
        if len(cutoff_range) != 2 or not 0.0 < cutoff_range[0] <= cutoff_range[1]:
            raise ConfigError(
                f"generator.cutoff_range is {list(cutoff_range)}; give the lowest and the highest "
                "cutoff in Hz"
            )
        unknown = sorted((resampling or {}).keys() - {"zeros", "rolloff", "beta"})
        if unknown or not 1 <= (resampling or {}).get("zeros", 64) <= _MOST_ZEROS:
            raise ConfigError(
                f"generator.resampling is {dict(resampling or {})}; it takes zeros (from 1 to "
                f"{_MOST_ZEROS}), rolloff and beta"
            )
        self.cutoff_range = (float(cutoff_range[0]), float(cutoff_range[1]))
        self.resampling: dict[str, Any] = dict(resampling or {})
