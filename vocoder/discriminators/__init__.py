"""Discriminators: networks that score one signal, one file per view of it."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.discriminators.dilated import Dilated as Dilated
    from vocoder.discriminators.melgan_scale import (
        HiddenMapDiscriminator as HiddenMapDiscriminator,
        MelGANMultiScale as MelGANMultiScale,
        ScaleDiscriminator as ScaleDiscriminator,
    )
    from vocoder.discriminators.output import (
        ConvDiscriminator as ConvDiscriminator,
        DiscriminatorOutput as DiscriminatorOutput,
        Discriminators as Discriminators,
    )
    from vocoder.discriminators.period import (
        MultiPeriod as MultiPeriod,
        PeriodDiscriminator as PeriodDiscriminator,
    )
    from vocoder.discriminators.pqmf import (
        GroupedWaveform as GroupedWaveform,
        PQMFBands as PQMFBands,
        PQMFDiscriminator as PQMFDiscriminator,
    )
    from vocoder.discriminators.projected import (
        Backbone as Backbone,
        Mixing as Mixing,
        Projected as Projected,
        RandomConvolution as RandomConvolution,
        RandomFeatures as RandomFeatures,
    )
    from vocoder.discriminators.scale import MultiScale as MultiScale
    from vocoder.discriminators.slicing import Sliced as Sliced, SlicedLayer as SlicedLayer
    from vocoder.discriminators.spectral.amplitude_phase import (
        AmplitudeDiscriminator as AmplitudeDiscriminator,
        MultiAmplitude as MultiAmplitude,
        MultiPhase as MultiPhase,
        PhaseDiscriminator as PhaseDiscriminator,
    )
    from vocoder.discriminators.spectral.band import (
        BandDiscriminator as BandDiscriminator,
        MultiBand as MultiBand,
    )
    from vocoder.discriminators.spectral.complex_stft import (
        ComplexDiscriminator as ComplexDiscriminator,
        MultiScaleComplexSTFT as MultiScaleComplexSTFT,
    )
    from vocoder.discriminators.spectral.cqt import (
        CQTDiscriminator as CQTDiscriminator,
        MultiScaleCQT as MultiScaleCQT,
    )
    from vocoder.discriminators.spectral.resolution import (
        MultiResolution as MultiResolution,
        ResolutionDiscriminator as ResolutionDiscriminator,
    )
    from vocoder.discriminators.spectral.spectrum import Spectrum as Spectrum
    from vocoder.discriminators.wave_mel import (
        MelMap as MelMap,
        MultiRate as MultiRate,
        RateDiscriminator as RateDiscriminator,
    )
    from vocoder.discriminators.wavelet import WaveletMultiScale as WaveletMultiScale
    from vocoder.discriminators.weighted import Weighted as Weighted
    from vocoder.discriminators.window import (
        ConditionalRandomWindow as ConditionalRandomWindow,
        DownBlock as DownBlock,
        RandomWindow as RandomWindow,
        WindowDiscriminator as WindowDiscriminator,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.discriminators.dilated": ["Dilated"],
        "vocoder.discriminators.melgan_scale": [
            "HiddenMapDiscriminator",
            "MelGANMultiScale",
            "ScaleDiscriminator",
        ],
        "vocoder.discriminators.output": [
            "ConvDiscriminator",
            "DiscriminatorOutput",
            "Discriminators",
        ],
        "vocoder.discriminators.period": ["MultiPeriod", "PeriodDiscriminator"],
        "vocoder.discriminators.pqmf": ["GroupedWaveform", "PQMFBands", "PQMFDiscriminator"],
        "vocoder.discriminators.projected": [
            "Backbone",
            "Mixing",
            "Projected",
            "RandomConvolution",
            "RandomFeatures",
        ],
        "vocoder.discriminators.scale": ["MultiScale"],
        "vocoder.discriminators.slicing": ["Sliced", "SlicedLayer"],
        "vocoder.discriminators.spectral.amplitude_phase": [
            "AmplitudeDiscriminator",
            "MultiAmplitude",
            "MultiPhase",
            "PhaseDiscriminator",
        ],
        "vocoder.discriminators.spectral.band": ["BandDiscriminator", "MultiBand"],
        "vocoder.discriminators.spectral.complex_stft": [
            "ComplexDiscriminator",
            "MultiScaleComplexSTFT",
        ],
        "vocoder.discriminators.spectral.cqt": ["CQTDiscriminator", "MultiScaleCQT"],
        "vocoder.discriminators.spectral.resolution": [
            "MultiResolution",
            "ResolutionDiscriminator",
        ],
        "vocoder.discriminators.spectral.spectrum": ["Spectrum"],
        "vocoder.discriminators.wave_mel": ["MelMap", "MultiRate", "RateDiscriminator"],
        "vocoder.discriminators.wavelet": ["WaveletMultiScale"],
        "vocoder.discriminators.weighted": ["Weighted"],
        "vocoder.discriminators.window": [
            "ConditionalRandomWindow",
            "DownBlock",
            "RandomWindow",
            "WindowDiscriminator",
        ],
    },
)
