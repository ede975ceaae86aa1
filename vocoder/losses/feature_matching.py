"""Feature matching: fakes should look like reals inside the discriminators."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.losses.adversarial import OverOutputs


class FeatureMatching(OverOutputs):
    """Mean absolute difference of each map, summed over maps; the real maps are a constant.

    Kong et al. 2020 (HiFi-GAN), eq. 4 (sum over outputs); Siuzdak 2024 (Vocos) takes their mean.
    """

    def __call__(self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]) -> Tensor:
        """Scalar; both lists are of the same discriminators and of equally long audio.

        Outputs without features take no part. ConfigError if none has any.
        """
        pairs = [(a, b) for a, b in zip(fake, real, strict=True) if b.feature_maps]
        if not pairs:
            raise ConfigError("no discriminator has features to match; drop feature_matching")
        losses = [self._distance(a.feature_maps, b.feature_maps) for a, b in pairs]
        return self.reduce(losses, [a for a, _ in pairs])

    def _distance(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        return _differences(fake, real).sum()


class MeanFeatureMatching(FeatureMatching):
    """Mean absolute difference of each map, and the mean over maps: a output's depth is no weight.

    Hauret et al. 2023 (EBEN), with `reduction` "mean".
    """

    def _distance(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        return _differences(fake, real).mean()


class NormalisedFeatureMatching(FeatureMatching):
    """Mean absolute difference of each map relative to the mean magnitude of the real one.

    Mean over maps, so that no layer counts for its scale nor a output for its depth.
    Défossez et al. 2022 (EnCodec), sec. 3.4, with `reduction` "mean".
    """

    def _distance(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        sizes = torch.stack([b.detach().float().abs().mean() for b in real])
        return (_differences(fake, real) / sizes.clamp_min(1e-8)).mean()


def _differences(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """One per map.   Shape: [maps]."""
    pairs = zip(fake, real, strict=True)
    return torch.stack([F.l1_loss(a.float(), b.detach().float()) for a, b in pairs])
