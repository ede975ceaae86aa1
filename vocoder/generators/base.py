"""What every generator promises."""

from typing import Self

from torch import Tensor, nn

from vocoder.nn.weight_norm import fold_weight_norm


class Generator(nn.Module):
    """A network from named features to audio.

    A subclass names in `features` what its `forward` takes by keyword: tensors whose last axis is F
    frames, `hop_length` samples apart. `forward` returns audio [B, C, samples(F)] for any F >= 1,
    treats the items of a batch independently and can be traced (torch.fx, torch.export).
    """

    features: tuple[str, ...]

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
