"""What generators are conditioned on: modules from audio to a tensor of frames."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.features.f0 import F0 as F0
    from vocoder.features.mel import MelSpec as MelSpec, MelSpectrogram as MelSpectrogram
    from vocoder.features.mel_check import (
        Diagnosis as Diagnosis,
        ScoredReading as ScoredReading,
        check_mel as check_mel,
        compare_mels as compare_mels,
        rank_readings as rank_readings,
    )
    from vocoder.features.mel_conversion import (
        convert as convert,
        differences as differences,
        layout as layout,
    )
    from vocoder.features.mel_values.analysis import (
        MelAnalysis as MelAnalysis,
        MelProperties as MelProperties,
    )
    from vocoder.features.mel_values.readings import Reading as Reading
    from vocoder.features.normalisation import Normalisation as Normalisation

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.features.f0": ["F0"],
        "vocoder.features.mel": ["MelSpec", "MelSpectrogram"],
        "vocoder.features.mel_check": [
            "Diagnosis",
            "ScoredReading",
            "check_mel",
            "compare_mels",
            "rank_readings",
        ],
        "vocoder.features.mel_conversion": ["convert", "differences", "layout"],
        "vocoder.features.mel_values.readings": ["Reading"],
        "vocoder.features.mel_values.analysis": ["MelProperties", "MelAnalysis"],
        "vocoder.features.normalisation": ["Normalisation"],
    },
)
