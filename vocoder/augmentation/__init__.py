"""Discriminator augmentation: noise and transforms applied alike to real and fake signals."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.augmentation.adaptive import AdaptiveAugmentation as AdaptiveAugmentation
    from vocoder.augmentation.base import (
        AdaptiveStrength as AdaptiveStrength,
        Augmentation as Augmentation,
    )
    from vocoder.augmentation.chain import Augmentations as Augmentations
    from vocoder.augmentation.diffusion import (
        Diffusion as Diffusion,
        SpectralDiffusion as SpectralDiffusion,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.augmentation.adaptive": ["AdaptiveAugmentation"],
        "vocoder.augmentation.base": ["AdaptiveStrength", "Augmentation"],
        "vocoder.augmentation.chain": ["Augmentations"],
        "vocoder.augmentation.diffusion": ["Diffusion", "SpectralDiffusion"],
    },
)
