"""GAN neural vocoders and audio synthesis: train, vocode, embed.

import vocoder

v = vocoder.load()                              # the embedded default; or a path; or "griffin-lim"
mel = v.mel(audio, sample_rate=sample_rate)     # [M, F]
audio = v(mel)                                  # [T] at v.sample_rate

extender = vocoder.load_extender()              # narrow recordings to 48 kHz
wide = extender(audio, sample_rate=8000)        # [T] or [C, T] at extender.sample_rate
"""

import importlib
from typing import TYPE_CHECKING, Any

from vocoder.errors import (
    AudioError,
    CheckpointError,
    ConfigError,
    MelMismatchError,
    VocoderError,
)

if TYPE_CHECKING:
    from vocoder.features.mel import MelSpec
    from vocoder.inference.extender import Extender, load_extender
    from vocoder.inference.vocoder import Vocoder, load
    from vocoder.io.audio import read_audio, write_audio
    from vocoder.io.mel_file import read_mel, write_mel

__version__ = "0.1.0"

__all__ = [
    "AudioError",
    "CheckpointError",
    "ConfigError",
    "Extender",
    "MelMismatchError",
    "MelSpec",
    "Vocoder",
    "VocoderError",
    "load",
    "load_extender",
    "read_audio",
    "read_mel",
    "write_audio",
    "write_mel",
]

# Imported on first use, so that `import vocoder` is instant.
_LAZY = {
    "Extender": "vocoder.inference.extender",
    "MelSpec": "vocoder.features.mel",
    "Vocoder": "vocoder.inference.vocoder",
    "load": "vocoder.inference.vocoder",
    "load_extender": "vocoder.inference.extender",
    "read_audio": "vocoder.io.audio",
    "read_mel": "vocoder.io.mel_file",
    "write_audio": "vocoder.io.audio",
    "write_mel": "vocoder.io.mel_file",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
