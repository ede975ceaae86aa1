"""What generators are conditioned on: modules from audio to a tensor of frames."""

from typing import TYPE_CHECKING

from vocoder import lazy_exports

if TYPE_CHECKING:
    from vocoder.features.f0 import F0 as F0
    from vocoder.features.mel import MelSpec as MelSpec, MelSpectrogram as MelSpectrogram
    from vocoder.features.mel_conversion import (
        convert as convert,
        differences as differences,
        layout as layout,
    )

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "vocoder.features.f0": ["F0"],
        "vocoder.features.mel": ["MelSpec", "MelSpectrogram"],
        "vocoder.features.mel_conversion": ["convert", "differences", "layout"],
    },
)
