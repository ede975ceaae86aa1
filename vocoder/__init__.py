"""GAN neural vocoders and audio synthesis: train, vocode, embed.

import vocoder

v = vocoder.load()                              # the embedded default; or a path; or "griffin-lim"
mel = v.mel(audio, sample_rate=sample_rate)     # [M, F]
audio = v(mel)                                  # [T] at v.sample_rate

extender = vocoder.load_extender()              # narrow-band recordings to 48 kHz
wide = extender(audio, sample_rate=8000)        # [T] or [C, T] at extender.sample_rate
"""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vocoder.errors import AudioError, CheckpointError, ConfigError, MelMismatchError, VocoderError

if TYPE_CHECKING:
    from vocoder.build import trust
    from vocoder.features.mel import MelSpec
    from vocoder.inference.extender import Extender, load_extender
    from vocoder.inference.streams.analysis import MelStream, ResampleStream
    from vocoder.inference.streams.extension import ExtensionStream
    from vocoder.inference.streams.synthesis import Stream, push_all
    from vocoder.inference.vocoder import Vocoder, load
    from vocoder.io.audio import read_audio, write_audio
    from vocoder.io.mel_file import read_mel, write_mel

__version__ = "0.2.0.dev0"

__all__ = [
    "AudioError",
    "CheckpointError",
    "ConfigError",
    "Extender",
    "ExtensionStream",
    "MelMismatchError",
    "MelSpec",
    "MelStream",
    "ResampleStream",
    "Stream",
    "Vocoder",
    "VocoderError",
    "load",
    "load_extender",
    "push_all",
    "read_audio",
    "read_mel",
    "trust",
    "write_audio",
    "write_mel",
]


def lazy_exports(
    package: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make `__getattr__`, `__dir__` and `__all__` of a package that imports names on first use.

    `names` lists the names of every module. So importing a package is fast, and using one module
    does not need the requirements of another.
    """
    modules = {name: module for module, listed in names.items() for name in listed}

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    def listing() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules})

    return get, listing, sorted(modules)


__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "vocoder.build": ["trust"],
        "vocoder.features.mel": ["MelSpec"],
        "vocoder.inference.extender": ["Extender", "load_extender"],
        "vocoder.inference.streams.analysis": ["MelStream", "ResampleStream"],
        "vocoder.inference.streams.extension": ["ExtensionStream"],
        "vocoder.inference.streams.synthesis": ["Stream", "push_all"],
        "vocoder.inference.vocoder": ["Vocoder", "load"],
        "vocoder.io.audio": ["read_audio", "write_audio"],
        "vocoder.io.mel_file": ["read_mel", "write_mel"],
    },
)
