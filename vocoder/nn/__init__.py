"""Blocks that two or more networks use."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.nn.activation import (
        AntiAliased as AntiAliased,
        Snake as Snake,
        SnakeBeta as SnakeBeta,
    )
    from vocoder.nn.conv import (
        Conv1d as Conv1d,
        ConvTranspose1d as ConvTranspose1d,
        GroupedConv1d as GroupedConv1d,
        ReflectConv1d as ReflectConv1d,
    )
    from vocoder.nn.convnext import (
        ConvNeXtBackbone as ConvNeXtBackbone,
        ConvNeXtBlock as ConvNeXtBlock,
    )
    from vocoder.nn.head import ConvISTFTHead as ConvISTFTHead, ISTFTHead as ISTFTHead
    from vocoder.nn.norms.spectral import SpectralNorm as SpectralNorm
    from vocoder.nn.octaves import Octaves as Octaves
    from vocoder.nn.pitch import (
        MelPitch as MelPitch,
        NoPitch as NoPitch,
        PitchEstimate as PitchEstimate,
        PitchEstimator as PitchEstimator,
    )
    from vocoder.nn.residual import (
        MRF as MRF,
        DilatedBlock as DilatedBlock,
        DilatedPairBlock as DilatedPairBlock,
    )
    from vocoder.nn.source import HarmonicSource as HarmonicSource
    from vocoder.nn.wavenet import FoldedLayer as FoldedLayer, GatedLayer as GatedLayer

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.nn.activation": ["AntiAliased", "Snake", "SnakeBeta"],
        "vocoder.nn.conv": ["Conv1d", "ConvTranspose1d", "GroupedConv1d", "ReflectConv1d"],
        "vocoder.nn.convnext": ["ConvNeXtBackbone", "ConvNeXtBlock"],
        "vocoder.nn.head": ["ConvISTFTHead", "ISTFTHead"],
        "vocoder.nn.norms.spectral": ["SpectralNorm"],
        "vocoder.nn.octaves": ["Octaves"],
        "vocoder.nn.pitch": ["MelPitch", "NoPitch", "PitchEstimate", "PitchEstimator"],
        "vocoder.nn.residual": ["DilatedBlock", "DilatedPairBlock", "MRF"],
        "vocoder.nn.source": ["HarmonicSource"],
        "vocoder.nn.wavenet": ["FoldedLayer", "GatedLayer"],
    },
)
