"""The mel spectrogram and its contract.

The most frequent cause of noisy output of a vocoder is a mel made with other settings than those
that the model was trained on. So the settings are one frozen `MelSpec`, saved with every model and
mel file, and compared whenever a mel is given to a model.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vocoder.dsp.filterbank import MelScale, mel_filterbank
from vocoder.dsp.stft import Padding, hann_window, magnitude, stft
from vocoder.errors import ConfigError
from vocoder.features.mel_fields import checked_fields
from vocoder.features.normalisation import LogBase, normalisation_fields
from vocoder.io.defaults import Float32OnCpu

# One unit of each logarithm in nepers: ln x, log10 x, 20 log10 x.
NEPERS = {"ln": 1.0, "log10": math.log(10.0), "db": math.log(10.0) / 20.0}


@dataclass(frozen=True, kw_only=True)
class MelSpec:
    """Settings that determine the values of a log-mel spectrogram.

    Raises ConfigError, which names the field, for settings that describe no spectrogram.

    >>> spec = MelSpec.preset("hifigan_22k_80")
    >>> spec.frames(22050), spec.hop_length
    (86, 256)
    """

    sample_rate: int
    """Of the audio, in Hz."""
    n_fft: int
    """Samples of the FFT; a shorter window is centered in zeros."""
    hop_length: int
    """Samples between frames."""
    win_length: int
    """Samples of the Hann window; at least `hop_length` and at most `n_fft`."""
    n_mels: int
    """Number of mel bands."""
    f_min: float = 0.0
    """Lower limit of the lowest band in Hz."""
    f_max: float | None = None
    """Upper limit of the highest band in Hz; None is Nyquist."""
    mel_scale: MelScale = "slaney"
    """Formula of the mel scale: "slaney" or "htk"."""
    norm: Literal["slaney", "none"] = "slaney"
    """Normalisation of the filters: "slaney" (equal areas) or "none" (equal peaks)."""
    power: int = 1
    """Exponent of the magnitudes: 1 for a mel of magnitudes, 2 for one of powers."""
    power_floor: float = 0.0
    """Added to the squared magnitude before its root."""
    log: LogBase = "ln"
    """Logarithm of the mel values x: "ln", "log10", "db" (20 log10 x), or "linear" for x itself."""
    log_floor: float = 1e-5
    """Smallest mel value before the logarithm."""
    padding: Padding = "same"
    """Where frames lie: T samples give T // `hop_length` for "same", one more for "center"."""
    mean: tuple[float, ...] = ()
    """Per band, subtracted after the logarithm; empty for none, one number for all bands."""
    scale: tuple[float, ...] = ()
    """Per band, divided by after the mean is subtracted; as `mean`."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the settings describe a spectrogram."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, value in checked_fields(values).items():
            object.__setattr__(self, name, value)

    @property
    def top_hz(self) -> float:
        """Upper limit of the highest band in Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    def frames(self, samples: int) -> int:
        """Number of frames for `samples` samples."""
        return samples // self.hop_length + (self.padding == "center")

    @property
    def silence(self) -> tuple[float, ...]:
        """Value of each band for digital silence."""
        with Float32OnCpu():
            nothing = magnitude(torch.zeros(1, dtype=torch.complex64), self.power_floor)
            floor = nothing.item() ** self.power
            filters = filterbank_of(self).sum(dim=1)
            return tuple(self.compress((filters * floor)[:, None])[:, 0].tolist())

    @property
    def largest(self) -> tuple[float, ...]:
        """Largest mel value x of each band, before the logarithm, for audio in [-1, 1]."""
        with Float32OnCpu():
            peak = hann_window(self.win_length, self.n_fft).sum() ** self.power
            return tuple((filterbank_of(self).sum(dim=1) * peak).tolist())

    def compress(self, linear: Tensor) -> Tensor:
        """Convert mel magnitudes (or powers) to this log-mel. Shape: [..., M, F] → same."""
        logarithm = linear.clamp_min(self.log_floor)
        if self.log != "linear":
            logarithm = torch.log(logarithm) / NEPERS[self.log]
        if self.mean:
            logarithm = logarithm - logarithm.new_tensor(self.mean)[:, None]
        if self.scale:
            logarithm = logarithm / logarithm.new_tensor(self.scale)[:, None]
        return logarithm

    def expand(self, mel: Tensor) -> Tensor:
        """Convert this log-mel to mel magnitudes (or powers). Shape: [..., M, F] → same."""
        if self.scale:
            mel = mel * mel.new_tensor(self.scale)[:, None]
        if self.mean:
            mel = mel + mel.new_tensor(self.mean)[:, None]
        return mel if self.log == "linear" else torch.exp(mel * NEPERS[self.log])

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Any, origin: str = "MelSpec") -> "MelSpec":
        """Make a spec from a dict of settings, as `to_dict` returns it.

        Raises ConfigError, which names `origin`, for wrong keys or values.
        """
        if not isinstance(values, dict):
            raise ConfigError(f"{origin}: mel settings are a mapping, not {type(values).__name__}")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(values.keys() - fields.keys())
        required = {n for n, f in fields.items() if f.default is dataclasses.MISSING}
        missing = sorted(required - values.keys())
        if unknown or missing:
            raise ConfigError(
                f"{origin}: unknown keys {unknown}, missing keys {missing}; "
                f"it takes {sorted(fields)}"
            )
        try:
            return cls(**values)
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error}") from error

    def normalised(self, name: str) -> "MelSpec":
        """Return these settings for mels of a normalisation, by its name in `NORMALISATIONS`.

        It replaces log, mean and scale, and the log floor where the normalisation has its own.
        Raises ConfigError if there is none of that name.

        >>> MelSpec.preset("hifigan_22k_80").normalised("keithito").log
        'db'
        """
        return dataclasses.replace(self, **normalisation_fields(name))

    @classmethod
    def preset(cls, name: str) -> "MelSpec":
        """Return the spec that reproduces another project's mel, by its name in `PRESETS`."""
        if name not in PRESETS:
            raise ConfigError(f"no mel preset {name!r}; presets are {', '.join(sorted(PRESETS))}")
        return PRESETS[name]


def _preset(
    rate: int, mels: int, fft: int = 1024, hop: int = 256, window: int | None = None, **others: Any
) -> MelSpec:
    return MelSpec(
        sample_rate=rate,
        n_mels=mels,
        n_fft=fft,
        hop_length=hop,
        win_length=window or fft,
        **others,
    )


def _hifigan(rate: int, mels: int, f_max: float | None, fft: int = 1024, hop: int = 256) -> MelSpec:
    return _preset(rate, mels, fft, hop, f_max=f_max, power_floor=1e-9)


_CENTRED: dict[str, Any] = {"padding": "center"}
_PWG = {"f_min": 80.0, "f_max": 7600.0, "log": "log10", "log_floor": 1e-10, **_CENTRED}
_VOCOS = {"mel_scale": "htk", "norm": "none", **_CENTRED}
_WHISPER = {"power": 2, **_CENTRED}
_TACOTRON2 = _preset(22050, 80, f_max=8000.0, **_CENTRED)
PRESETS: dict[str, MelSpec] = {
    "hifigan_22k_80": _hifigan(22050, 80, 8000.0),
    "hifigan_16k_80": _hifigan(16000, 80, None),
    "hifigan_48k_80": _hifigan(48000, 80, None),
    "bigvgan_24k_100": _hifigan(24000, 100, 12000.0),
    "bigvgan_22k_80": _hifigan(22050, 80, None),
    "bigvgan_44k_128": _hifigan(44100, 128, None, 2048, 512),
    "bigvgan_44k_128_256x": _hifigan(44100, 128, None),
    "hifigan_48k_128": _hifigan(48000, 128, None, 2048, 480),
    "nsf_44k_128": _preset(44100, 128, 2048, 512, f_min=40.0, f_max=16000.0),
    "vocos_24k_100": _preset(24000, 100, log_floor=1e-7, **_VOCOS),
    "f5_tts_24k_100": _preset(24000, 100, **_VOCOS),
    "pwg_22k_80": _preset(22050, 80, **_PWG),
    "tensorflowtts_22k_80": _preset(22050, 80, **_PWG),
    "pwg_24k_80": _preset(24000, 80, 2048, 300, 1200, **_PWG),
    "tacotron2_22k_80": _TACOTRON2,
    "fastspeech2_22k_80": _TACOTRON2,
    "nemo_22k_80": _TACOTRON2,
    "glow_tts_22k_80": _TACOTRON2,
    "grad_tts_22k_80": _hifigan(22050, 80, 8000.0),
    "matcha_22k_80": _hifigan(22050, 80, 8000.0).normalised("matcha_lj"),
    "cosyvoice2_24k_80": _hifigan(24000, 80, 8000.0, 1920, 480),
    "gpt_sovits_24k_100": _preset(24000, 100, power_floor=1e-8).normalised("gpt_sovits"),
    "specvqgan_22k_80": dataclasses.replace(_TACOTRON2, f_min=125.0, f_max=7600.0).normalised(
        "specvqgan"
    ),
    "melgan_22k_80": _preset(22050, 80, log="log10"),
    "whisper_16k_80": _preset(16000, 80, 400, 160, **_WHISPER).normalised("whisper"),
    "whisper_16k_128": _preset(16000, 128, 400, 160, **_WHISPER).normalised("whisper"),
}


def filterbank_of(spec: MelSpec) -> Tensor:
    """Filters of the mel bands of a spec.   Shape: [M, K]."""
    return mel_filterbank(
        sample_rate=spec.sample_rate,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        f_min=spec.f_min,
        f_max=spec.top_hz,
        scale=spec.mel_scale,
        norm=spec.norm,
    )


class MelSpectrogram(nn.Module):
    """Audio to log-mel by a `MelSpec`, in float32 on the device of the input.

    Shape: [B, 1, T] → [B, M, spec.frames(T)].

    >>> transform = MelSpectrogram(MelSpec.preset("vocos_24k_100"))
    >>> transform(torch.zeros(2, 1, 2560)).shape
    torch.Size([2, 100, 11])
    """

    filterbank: Tensor
    window: Tensor

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("filterbank", filterbank_of(spec), persistent=False)
        self.register_buffer("window", hann_window(spec.win_length, spec.n_fft), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """Compute the log-mel spectrograms of mono signals."""
        with torch.autocast(audio.device.type, enabled=False):
            return self.compute(audio.float())

    def compute(self, audio: Tensor) -> Tensor:
        """Compute log-mel spectrograms of float32 audio outside autocast, traceable by torch.fx."""
        spec = self.spec
        bins = stft(audio[:, 0], self.window, hop_length=spec.hop_length, padding=spec.padding)
        return spec.compress(self.filterbank @ magnitude(bins, spec.power_floor) ** spec.power)
