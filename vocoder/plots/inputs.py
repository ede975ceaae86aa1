"""What a figure is drawn of: recordings and mel files, whole or in part."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from vocoder.errors import ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.features.mel_conversion import layout
from vocoder.io.audio import probe, read_audio, resample_soxr
from vocoder.io.mel_file import SUFFIXES, read_mel


@dataclass(frozen=True)
class DrawnAudio:
    """A recording, or a part of it that begins at `begin` seconds. Shape of the audio: [T]."""

    name: str
    audio: Tensor
    sample_rate: int
    begin: float
    channels: int = 1
    """Of the file; `audio` is their mean."""

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.audio) / self.sample_rate

    def first(self, seconds: float) -> "DrawnAudio":
        """The first seconds of it."""
        return replace(self, audio=self.audio[: max(1, round(seconds * self.sample_rate))])

    def at_rate(self, sample_rate: int) -> "DrawnAudio":
        """The same at another sample rate."""
        audio = resample_soxr(self.audio, self.sample_rate, sample_rate)
        return replace(self, audio=audio, sample_rate=sample_rate)

    def mel(self, spec: MelSpec) -> "DrawnMel":
        """Its mel, computed at the sample rate of the settings."""
        mel = MelSpectrogram(spec)(self.at_rate(spec.sample_rate).audio[None, None])[0]
        return DrawnMel(self.name, mel, spec, self.begin)


@dataclass(frozen=True)
class DrawnMel:
    """A mel, or a part of it that begins at `begin` seconds. Shape: [M, F]."""

    name: str
    values: Tensor
    spec: MelSpec
    begin: float

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.values.shape[1] * self.spec.hop_length / self.spec.sample_rate


Drawn = DrawnAudio | DrawnMel


def read_drawn(
    path: Path, *, begin: float = 0.0, end: float | None = None, spec: MelSpec | None = None
) -> Drawn:
    """Read a recording or, by its suffix, a mel file, from `begin` to `end` seconds.

    `spec` are the settings of mel files that say none. Raises AudioError or VocoderError for a
    file that cannot be read, MelMismatchError for a mel that does not fit its settings, ConfigError
    if those are not known or the part lies outside of the file.
    """
    if begin < 0.0 or (end is not None and end <= begin):
        raise ConfigError(f"from {begin:g} to {end:g} seconds is no part of a recording")
    if path.suffix.lower() in SUFFIXES:
        return _read_mel(path, begin, end, spec)
    info = probe(path)
    start = round(begin * info.sample_rate)
    if start >= info.samples:
        seconds = info.samples / info.sample_rate
        raise ConfigError(f"{path}: ends at {seconds:.3f} s, before {begin:g} s; lower --from")
    frames = None if end is None else max(1, round(end * info.sample_rate) - start)
    audio, sample_rate = read_audio(path, start=start, frames=frames)
    return DrawnAudio(path.name, audio.mean(0), sample_rate, start / sample_rate, len(audio))


def _read_mel(path: Path, begin: float, end: float | None, spec: MelSpec | None) -> DrawnMel:
    values, own = read_mel(path)
    known = own or spec
    if known is None:
        raise ConfigError(f"{path}: says no mel settings; name them by --preset")
    try:
        values = layout(values, known)
    except MelMismatchError as error:
        raise MelMismatchError(f"{path}: {error}") from error
    rate = known.sample_rate / known.hop_length
    first, last = int(begin * rate), values.shape[1] if end is None else int(-(-end * rate // 1))
    if first >= values.shape[1]:
        seconds = values.shape[1] / rate
        raise ConfigError(f"{path}: ends at {seconds:.3f} s, before {begin:g} s; lower --from")
    return DrawnMel(path.name, values[:, first:last], known, first / rate)
