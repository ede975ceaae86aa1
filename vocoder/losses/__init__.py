"""Unweighted losses, and the objective that weights them."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.losses.adversarial import (
        AdversarialLoss as AdversarialLoss,
        Hinge as Hinge,
        LeastSquares as LeastSquares,
        NonSaturating as NonSaturating,
        OverOutputs as OverOutputs,
        Relativistic as Relativistic,
        RelativisticLeastSquares as RelativisticLeastSquares,
        Slicing as Slicing,
        UnboundedHinge as UnboundedHinge,
        Wasserstein as Wasserstein,
    )
    from vocoder.losses.balancer import Balancer as Balancer
    from vocoder.losses.complex import MultiResolutionComplex as MultiResolutionComplex
    from vocoder.losses.cqt import LogCQT as LogCQT
    from vocoder.losses.evenness import NoiseEvenness as NoiseEvenness
    from vocoder.losses.feature_matching import (
        FeatureMatching as FeatureMatching,
        MeanFeatureMatching as MeanFeatureMatching,
        NormalisedFeatureMatching as NormalisedFeatureMatching,
    )
    from vocoder.losses.objective import Objective as Objective, Regulariser as Regulariser
    from vocoder.losses.phase import (
        GroupDelay as GroupDelay,
        InstantaneousFrequency as InstantaneousFrequency,
        InstantaneousPhase as InstantaneousPhase,
    )
    from vocoder.losses.regularisers import (
        R1 as R1,
        R2 as R2,
        GradientPenalty as GradientPenalty,
        OrthogonalPenalty as OrthogonalPenalty,
        squared_slope as squared_slope,
    )
    from vocoder.losses.spectral import (
        LogMelL1 as LogMelL1,
        MultiResolutionLogMagnitude as MultiResolutionLogMagnitude,
        MultiResolutionSTFT as MultiResolutionSTFT,
        MultiScaleMel as MultiScaleMel,
        OverResolutions as OverResolutions,
        SingleResolution as SingleResolution,
    )
    from vocoder.losses.subband import SubbandSTFT as SubbandSTFT
    from vocoder.losses.waveform import Envelope as Envelope, WaveformL1 as WaveformL1

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.losses.adversarial": [
            "AdversarialLoss",
            "Hinge",
            "LeastSquares",
            "NonSaturating",
            "OverOutputs",
            "Relativistic",
            "RelativisticLeastSquares",
            "Slicing",
            "UnboundedHinge",
            "Wasserstein",
        ],
        "vocoder.losses.balancer": ["Balancer"],
        "vocoder.losses.complex": ["MultiResolutionComplex"],
        "vocoder.losses.cqt": ["LogCQT"],
        "vocoder.losses.evenness": ["NoiseEvenness"],
        "vocoder.losses.feature_matching": [
            "FeatureMatching",
            "MeanFeatureMatching",
            "NormalisedFeatureMatching",
        ],
        "vocoder.losses.objective": ["Objective", "Regulariser"],
        "vocoder.losses.phase": ["GroupDelay", "InstantaneousFrequency", "InstantaneousPhase"],
        "vocoder.losses.regularisers": [
            "GradientPenalty",
            "OrthogonalPenalty",
            "R1",
            "R2",
            "squared_slope",
        ],
        "vocoder.losses.spectral": [
            "LogMelL1",
            "MultiResolutionLogMagnitude",
            "MultiResolutionSTFT",
            "MultiScaleMel",
            "OverResolutions",
            "SingleResolution",
        ],
        "vocoder.losses.subband": ["SubbandSTFT"],
        "vocoder.losses.waveform": ["Envelope", "WaveformL1"],
    },
)
