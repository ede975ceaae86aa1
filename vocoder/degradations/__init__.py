"""What recordings and mels are degraded by in training: band limits, codecs, noise, smoothing."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.degradations.band_limits import (
        AnalogLowPass as AnalogLowPass,
        BodyConduction as BodyConduction,
        SincLowPass as SincLowPass,
        ZeroPhase as ZeroPhase,
    )
    from vocoder.degradations.codecs import Codec as Codec, Companding as Companding
    from vocoder.degradations.degrade import (
        Degrade as Degrade,
        LowRate as LowRate,
        Noise as Noise,
        OneOf as OneOf,
        Step as Step,
        Steps as Steps,
    )
    from vocoder.degradations.mel import DegradedMel as DegradedMel

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.degradations.band_limits": [
            "AnalogLowPass",
            "BodyConduction",
            "SincLowPass",
            "ZeroPhase",
        ],
        "vocoder.degradations.codecs": ["Codec", "Companding"],
        "vocoder.degradations.degrade": ["Degrade", "LowRate", "Noise", "OneOf", "Step", "Steps"],
        "vocoder.degradations.mel": ["DegradedMel"],
    },
)
