"""Feature matching: distances between the discriminators' feature maps of fake and real."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.discriminators.output import DiscriminatorOutput
from vocoder.errors import ConfigError
from vocoder.losses.adversarial import OverOutputs


class FeatureMatching(OverOutputs):
    """Mean absolute difference of each feature map, summed over maps; real maps are constants.

    Kong et al. 2020 (HiFi-GAN), eq. 4 (sum over outputs); Siuzdak 2024 (Vocos) takes their mean.
    """

    def __call__(self, fake: list[DiscriminatorOutput], real: list[DiscriminatorOutput]) -> Tensor:
        """Scalar; both lists are of the same discriminators and of equally long audio.

        Outputs without feature maps are left out. Raises ConfigError if none has any.
        """
        pairs = [(a, b) for a, b in zip(fake, real, strict=True) if b.feature_maps]
        if not pairs:
            raise ConfigError("no discriminator has feature maps to match; drop feature_matching")
        losses = [self._distance(a.feature_maps, b.feature_maps) for a, b in pairs]
        return self.reduce(losses, [a for a, _ in pairs])

    def _distance(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        return _differences(fake, real).sum()


class MeanFeatureMatching(FeatureMatching):
    """Mean absolute difference of each feature map, averaged over the maps of an output.

    So an output does not count more for its number of layers.
    Hauret et al. 2023 (EBEN), with `reduction` "mean".
    """

    def _distance(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        return _differences(fake, real).mean()


class NormalisedFeatureMatching(FeatureMatching):
    """Mean absolute difference of each feature map relative to the real map's mean magnitude.

    Mean over maps, so that neither the scale of a layer nor the number of layers weighs.
    Défossez et al. 2022 (EnCodec), sec. 3.4, with `reduction` "mean".
    """

    def _distance(self, fake: list[Tensor], real: list[Tensor]) -> Tensor:
        sizes = torch.stack([b.detach().float().abs().mean() for b in real])
        return (_differences(fake, real) / sizes.clamp_min(1e-8)).mean()


def _differences(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """Mean absolute difference of each map.   Shape: [maps]."""
    pairs = zip(fake, real, strict=True)
    return torch.stack([F.l1_loss(a.float(), b.detach().float()) for a, b in pairs])
