"""Codecs as degradation steps: telephone companding, and the codecs of libsndfile."""

import io
from collections.abc import Sequence
from typing import Literal, NamedTuple

import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.degradations.degrade import Step, interval, uniform
from vocoder.errors import ConfigError


class Companding(Step):
    """Code each sample in eight bits by ITU-T G.711, law "mu" or "a".

    Values beyond full scale are clipped. Runs on the device of the input, and equals bit for bit
    what libsndfile makes of the same signal in 16 bits. The A-law has no zero: silence becomes
    +2^-12, -72 dB. Raises ConfigError for another law.
    """

    def __init__(self, *, law: Literal["mu", "a"]) -> None:
        super().__init__()
        if law not in ("mu", "a"):
            raise ConfigError(f"law is {law!r}; choose mu or a")
        self.law = law

    def check(self, sample_rate: int) -> None:
        """Accept any sample rate."""

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Encode and decode.   Shape: [B, C, T] → same."""
        linear = (audio * 32768.0).round().clamp(-32768.0, 32767.0)
        bias, least, most = (132.0, 8.0, 32635.0) if self.law == "mu" else (0.0, 16.0, 32767.0)
        magnitude = linear.abs().clamp_max(most) + bias
        # Sixteen steps per octave; frexp's exponent is that of the next power of two.
        step = torch.ldexp(torch.ones_like(linear), torch.frexp(magnitude).exponent - 5)
        step = step.clamp_min(least)
        decoded = (torch.floor(magnitude / step) + 0.5) * step - bias
        return torch.where(linear < 0.0, -decoded, decoded) / 32768.0


class _Format(NamedTuple):
    """Container and encoding by libsndfile's names, and the rates at which the codec is used."""

    container: str
    encoding: str
    rates: tuple[int, ...]


_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_FORMATS = {
    "gsm": _Format("WAV", "GSM610", (8000,)),
    # At 24 kHz and few bits, Opus combines two codecs, of which the lower band's is 40 µs early.
    "opus": _Format("OGG", "OPUS", (8000, 12000, 16000)),
    "mp3": _Format("MP3", "MPEG_LAYER_III", _MP3_RATES),
}
# At its lowest bit rates, Opus preserves what is perceived but not the waveform.
_MOST_COMPRESSION = 0.95


class Codec(Step):
    """Encode and decode by libsndfile: "gsm" (06.10 full rate), "opus" or "mp3".

    Runs on the CPU, for each channel separately; values beyond full scale are clipped. libsndfile
    compensates the delays of the codecs. The compression of each item is drawn from `compression`,
    from 0 (Opus: 256 kbit/s) to 0.95 (18 kbit/s); GSM has 13 kbit/s.

    Raises ConfigError for a codec that this libsndfile lacks; so does `check` for a sample rate
    that the codec lacks.
    """

    def __init__(
        self,
        *,
        codec: Literal["gsm", "opus", "mp3"],
        compression: Sequence[float] = (0.5, _MOST_COMPRESSION),
    ) -> None:
        super().__init__()
        if codec not in _FORMATS:
            raise ConfigError(f"codec is {codec!r}; choose from {', '.join(_FORMATS)}")
        self.codec, self.format = codec, _FORMATS[codec]
        if self.format.encoding not in soundfile.available_subtypes(self.format.container):
            raise ConfigError(
                f"libsndfile {soundfile.__libsndfile_version__} has no codec {codec!r}; "
                "update soundfile, or leave the codec out"
            )
        self.compression = interval("compression", compression, least=-1e-9)
        if self.compression[1] > _MOST_COMPRESSION:
            raise ConfigError(f"compression is {list(compression)}; at most {_MOST_COMPRESSION}")

    def check(self, sample_rate: int) -> None:
        """Raise ConfigError unless the codec has the sample rate."""
        if sample_rate not in self.format.rates:
            listed = ", ".join(map(str, self.format.rates))
            raise ConfigError(f"{self.codec} has no rate {sample_rate} Hz; choose from {listed}")

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Encode and decode.   Shape: [B, C, T] → same."""
        levels = uniform(self.compression, len(audio)).tolist()
        items = audio.clamp(-1.0, 1.0).cpu()
        decoded = [
            torch.stack([self._decoded(channel, sample_rate, level) for channel in item])
            for item, level in zip(items, levels, strict=True)
        ]
        return torch.stack(decoded).to(audio.device)

    def _decoded(self, channel: Tensor, sample_rate: int, compression: float) -> Tensor:
        """Encode and decode one channel.   Shape: [T] → [T]."""
        coded = io.BytesIO()
        soundfile.write(
            coded,
            channel.numpy(),
            sample_rate,
            format=self.format.container,
            subtype=self.format.encoding,
            compression_level=None if self.codec == "gsm" else compression,
        )
        coded.seek(0)
        decoded = torch.from_numpy(soundfile.read(coded, dtype="float32")[0])
        # GSM ends with a whole block.
        return F.pad(decoded, (0, len(channel) - len(decoded)))
