"""The numbers that TTS projects store for a mel: a logarithm, a floor, an offset and a scale.

They combine with any settings of the spectrogram: `MelSpec.normalised("keithito")`, or on the
command line `--preset hifigan_22k_80 --normalisation keithito`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

from vocoder.errors import ConfigError

LogBase = Literal["ln", "log10", "db", "linear"]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """How a mel value x becomes the number that is stored: (log max(x, log_floor) - mean) / scale.

    `ceiling` is where a project clips; a mel is neither clipped there nor restored.
    """

    title: str
    """The numbers in a few words, for messages."""
    log: LogBase
    """As in a MelSpec: "ln", "log10", "db" (20 log10 x), or "linear" for x itself."""
    log_floor: float | None = None
    """Smallest x; None for that of the spectrogram's settings."""
    mean: float = 0.0
    """Subtracted after the logarithm, in all bands."""
    scale: float = 1.0
    """Divided by after the mean is subtracted, in all bands."""
    ceiling: float = math.inf
    """Largest number that the project stores."""


# With min_level_db -100 and ref_level_db 20, 20 log10 x - 20 is clipped at -100, where x is 1e-4.
_UNIT = Normalisation(
    title="dB scaled to [0, 1] as in Tacotron, FastVocoder and SpecVQGAN",
    log="db",
    log_floor=1e-4,
    mean=-80.0,
    scale=100.0,
    ceiling=1.0,
)
_TACOTRON2 = Normalisation(title="natural logarithms", log="ln", log_floor=1e-5)
_INT16 = 32768.0


def _matcha(corpus: str, mean: float, scale: float) -> Normalisation:
    title = f"natural logarithms with the mean and deviation of {corpus} as in Matcha-TTS"
    return Normalisation(title=title, log="ln", log_floor=1e-5, mean=mean, scale=scale)


NORMALISATIONS: dict[str, Normalisation] = {
    "ln": Normalisation(title="natural logarithms", log="ln"),
    "log10": Normalisation(title="decimal logarithms (log10)", log="log10"),
    "db": Normalisation(title="dB (20 log10 x)", log="db"),
    "db_ref20": Normalisation(
        title="dB from -100 to 0 (20 log10 x - 20)",
        log="db",
        log_floor=1e-4,
        mean=20.0,
        ceiling=0.0,
    ),
    "linear": Normalisation(title="magnitudes without a logarithm", log="linear"),
    "keithito": _UNIT,
    "fastvocoder": _UNIT,
    "specvqgan": _UNIT,
    "rayhane": Normalisation(
        title="dB scaled to [-4, 4] as in Rayhane's Tacotron 2",
        log="db",
        log_floor=1e-4,
        mean=-30.0,
        scale=12.5,
        ceiling=4.0,
    ),
    "tacotron2": _TACOTRON2,
    "fastspeech2": _TACOTRON2,
    "glow_tts": _TACOTRON2,
    "grad_tts": _TACOTRON2,
    "f5_tts": _TACOTRON2,
    "nemo": _TACOTRON2,  # which adds the floor instead of clipping at it
    "matcha_lj": _matcha("LJSpeech", -5.536622, 2.116101),
    "matcha_vctk": _matcha("VCTK", -6.630575, 2.482914),
    "gpt_sovits": Normalisation(
        title="natural logarithms from -12 to 2 scaled to [-1, 1] as in GPT-SoVITS",
        log="ln",
        log_floor=1e-5,
        mean=-5.0,
        scale=7.0,
    ),
    "whisper": Normalisation(
        title="decimal logarithms as Whisper scales them, (log10 x + 4) / 4",
        log="log10",
        log_floor=1e-10,
        mean=-4.0,
        scale=4.0,
    ),
    "power_db": Normalisation(
        title="10 log10 x of magnitudes, half of their dB", log="db", scale=2.0
    ),
    "int16": Normalisation(
        title="natural logarithms of audio in the range of int16",
        log="ln",
        log_floor=1e-5 / _INT16,
        mean=-math.log(_INT16),
    ),
    "int16_log10": Normalisation(
        title="decimal logarithms of audio in the range of int16",
        log="log10",
        log_floor=1e-5 / _INT16,
        mean=-math.log10(_INT16),
    ),
}


def normalisation_fields(name: str) -> dict[str, Any]:
    """The fields of a MelSpec that the normalisation `name` replaces: log, mean, scale, its floor.

    Raises ConfigError, which lists the names, if there is none of that name.
    """
    if name not in NORMALISATIONS:
        raise ConfigError(
            f"no mel normalisation {name!r}; there are {', '.join(sorted(NORMALISATIONS))}"
        )
    chosen = NORMALISATIONS[name]
    floor = {} if chosen.log_floor is None else {"log_floor": chosen.log_floor}
    shift = (chosen.mean, chosen.scale)
    mean, scale = shift if shift != (0.0, 1.0) else ((), ())
    return {"log": chosen.log, "mean": mean, "scale": scale, **floor}
