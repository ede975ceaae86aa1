"""How a mel was made, found exactly from its recording.

The mel of the recording is computed by every preset, and by settings that differ from a preset in
one field. Where the settings are right, the values of the file lie on a straight line over the
logarithms of ours, to float rounding: its slope and offset are the normalisation, and the gain of
the audio.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vocoder.doctor.mels.filters import spectrogram_of
from vocoder.errors import ConfigError
from vocoder.features.mel import PRESETS, MelSpec, MelSpectrogram
from vocoder.io.audio import resample_soxr

EXACT = 1e-3  # nepers; the largest deviation of a mel that is reproduced
_SECONDS = 4.0  # of the recording that are compared
_EDGE = 5  # frames at each end, which depend on what lies beyond the audio
_FAINT = math.log(3e-4)  # nepers; quieter values may be clipped, or have a floor added
_MOST_SHIFT = 400  # frames
_VARIED = 4  # presets of which each field is varied
_ALTERNATIVES: dict[str, tuple[Any, ...]] = {
    "hop_length": (128, 160, 200, 240, 256, 275, 276, 300, 320, 441, 480, 512, 640),
    "f_max": (None, 7600.0, 8000.0, 11025.0, 12000.0, 16000.0, 20000.0),
    "f_min": (0.0, 20.0, 30.0, 40.0, 50.0, 55.0, 60.0, 80.0, 90.0, 125.0),
    "n_fft": (400, 512, 1024, 1200, 1280, 1920, 2048, 4096),
    "win_length": (400, 480, 600, 800, 1024, 1100, 1102, 1200, 1280, 1920, 2048),
    "mel_scale": ("slaney", "htk"),
    "norm": ("slaney", "none"),
    "power": (1, 2),
    "padding": ("same", "center"),
    "sample_rate": (16000, 22050, 24000, 32000, 44100, 48000),
}
_PREEMPHASIS = (0.97, 0.95, 0.85)


@dataclass(frozen=True)
class RecordingMatch:
    """Settings by which a mel follows from the recording, and how exactly."""

    preset: str
    """The preset that they are, or the nearest one."""
    spec: MelSpec
    changed: tuple[str, ...]
    """Fields in which they differ from that preset."""
    preemphasis: float
    """Coefficient of the filter on the audio; 0 for none."""
    shift: int
    """First frame of the recording's mel that is in the file; negative for what is before it."""
    slope: float
    """Values per neper of our mel."""
    offset: float
    """Value at 0 Np."""
    per_band: bool
    """Whether slope and offset differ from band to band, as by statistics; then they are means."""
    deviation: float
    """Largest deviation (all but 0.1 % of the values) from that line, in nepers."""
    typical: float
    """Median of the deviations, in nepers."""
    linear: bool
    """Whether the file has no logarithms; slope and offset are then of the values' logarithms."""

    @property
    def exact(self) -> bool:
        """Whether the mel is reproduced; at another rate only as well as resamplers agree."""
        return self.deviation <= EXACT

    @property
    def rank(self) -> tuple[bool, bool, int, float]:
        """Sorts the better match first: exact, one line for all bands, a preset, less deviation."""
        return not self.exact, self.per_band, len(self.changed) * self.exact, self.typical


def match_recording(
    mel: Tensor, audio: Tensor, sample_rate: int, specs: Sequence[MelSpec] = ()
) -> RecordingMatch | None:
    """Find the settings that make a mel of its recording; None if nothing like it does.

    `specs` are tried beside the presets. Shapes: mel [M, F], audio [T].
    """
    comparison = _Comparison(mel, audio, sample_rate)
    tried: list[RecordingMatch] = []
    for found in _matches(comparison, len(mel), specs, tried):
        tried.append(found)
        if not found.per_band and (found.exact or found.typical < EXACT / 10.0):
            return found
    return min(tried, key=lambda match: match.rank, default=None)


def _matches(
    comparison: "_Comparison", bands: int, specs: Sequence[MelSpec], tried: list[RecordingMatch]
) -> Iterator[RecordingMatch]:
    """Matches by presets, by settings that differ from the best in one field, by pre-emphasis.

    `tried` grows with them.
    """
    for name, spec in distinct_specs(bands, specs):
        yield from comparison.match(name, spec)
    best = sorted(tried, key=lambda match: match.rank)
    if (
        best and best[0].exact
    ):  # a line for each band: of statistics, or of filters of other heights
        slaney = best[0].spec.norm == "slaney"
        varied = dataclasses.replace(best[0].spec, norm="none" if slaney else "slaney")
        yield from comparison.match(best[0].preset, varied, changed_from=best[0].spec)
        return
    for near in best[:2]:
        for coefficient in _PREEMPHASIS:
            yield from comparison.match(near.preset, near.spec, preemphasis=coefficient)
    for near in best[:_VARIED]:
        for varied in variations(near.spec):
            yield from comparison.match(near.preset, varied, changed_from=near.spec)


def distinct_specs(bands: int, specs: Sequence[MelSpec]) -> Iterator[tuple[str, MelSpec]]:
    """Settings of presets with so many bands, each once for the same spectrogram; then `specs`."""
    seen = set()
    named = [*PRESETS.items(), *(("", spec) for spec in specs)]
    for name, spec in named:
        plain = dataclasses.replace(
            spectrogram_of(spec), padding=spec.padding, power_floor=spec.power_floor
        )
        if spec.n_mels == bands and plain not in seen:
            seen.add(plain)
            yield name, plain
    if not seen:  # no preset has so many bands
        base = PRESETS["hifigan_22k_80"]
        yield "hifigan_22k_80", dataclasses.replace(spectrogram_of(base), n_mels=bands)


def variations(spec: MelSpec) -> Iterator[MelSpec]:
    """Settings that differ from `spec` in one field, with the window as long as the FFT."""
    for field, values in _ALTERNATIVES.items():
        for value in values:
            if value == getattr(spec, field):
                continue
            others: dict[str, Any] = {field: value}
            if field == "n_fft":
                others["win_length"] = value
            if field == "win_length" and value > spec.n_fft:
                continue
            top = others.get("sample_rate", spec.sample_rate) / 2
            if (others.get("f_max", spec.f_max) or top) > top:
                others["f_max"] = None
            try:
                yield dataclasses.replace(spec, **others)
            except ConfigError:  # such as a hop longer than the window
                continue


class _Comparison:
    """One mel and its recording."""

    def __init__(self, mel: Tensor, audio: Tensor, sample_rate: int) -> None:
        self.audio = audio[: round(_SECONDS * sample_rate)]
        self.sample_rate = sample_rate
        self.linear = bool(mel.min() >= 0.0) and not _spreads_evenly(mel)
        self.values = mel.clamp_min(1e-10).log() if self.linear else mel
        self._resampled: dict[int, Tensor] = {sample_rate: self.audio}

    def match(
        self,
        name: str,
        spec: MelSpec,
        *,
        changed_from: MelSpec | None = None,
        preemphasis: float = 0.0,
    ) -> Iterator[RecordingMatch]:
        """How the mel follows from the recording by settings; nothing where it does not at all."""
        own = self._own(spec, preemphasis)
        shift = _shift(self.values, own)
        theirs, ours = _overlap(self.values, own, shift or 0)
        line = None if shift is None or ours.shape[1] < 8 else _line(theirs, ours)
        if shift is not None and line is not None:
            changed = () if changed_from is None else _changed(spec, changed_from)
            yield RecordingMatch(name, spec, changed, preemphasis, shift, *line, self.linear)

    def _own(self, spec: MelSpec, preemphasis: float) -> Tensor:
        """The mel of the recording in nepers. Shape: [M, F]."""
        rate = spec.sample_rate
        if rate not in self._resampled:
            self._resampled[rate] = resample_soxr(self.audio, self.sample_rate, rate)
        audio = self._resampled[rate]
        if preemphasis:
            audio = torch.cat([audio[:1], audio[1:] - preemphasis * audio[:-1]])
        if audio.shape[0] < spec.n_fft:
            audio = torch.nn.functional.pad(audio, (0, spec.n_fft - audio.shape[0]))
        plain = dataclasses.replace(spec, log_floor=1e-12)
        own: Tensor = MelSpectrogram(plain)(audio[None, None])[0]
        return own / spec.power


def _spreads_evenly(mel: Tensor) -> bool:
    """Whether positive values are logarithms (of int16 audio, or shifted): not most near zero."""
    return bool(mel[mel > 1e-3 * mel.max()].median() > 0.1 * mel.max())


def _changed(spec: MelSpec, other: MelSpec) -> tuple[str, ...]:
    fields = (field.name for field in dataclasses.fields(MelSpec))
    return tuple(name for name in fields if getattr(spec, name) != getattr(other, name))


def _shift(values: Tensor, own: Tensor) -> int | None:
    """By how many frames the mel starts after the recording, from the loudness of frames."""
    first, second = (_loudness(mel) for mel in (values, own))
    if len(first) < 4 or len(second) < 4:
        return None
    size = 2 ** math.ceil(math.log2(len(first) + len(second)))
    product = torch.fft.rfft(second, size) * torch.fft.rfft(first, size).conj()
    correlation = torch.fft.irfft(product, size)
    reach = min(_MOST_SHIFT, size // 2 - 1)
    lags = torch.arange(-reach, reach + 1)
    best = int(lags[correlation[lags % size].argmax()])
    # Loudness is smooth: neighbours are compared by all values.
    near = [(_distance(values, own, best + step), best + step) for step in (-1, 0, 1)]
    return min(near)[1]


def _loudness(mel: Tensor) -> Tensor:
    mean = mel.mean(dim=0)
    return (mean - mean.mean()) / mean.std().clamp_min(1e-6)


def _distance(values: Tensor, own: Tensor, shift: int) -> float:
    theirs, ours = _overlap(values, own, shift)
    if ours.shape[1] < 4:
        return math.inf
    pair = torch.stack([theirs.flatten(), ours.flatten().clamp_min(_FAINT - 4.0)])
    return 1.0 - torch.corrcoef(pair)[0, 1].nan_to_num(0.0).item()


def _overlap(values: Tensor, own: Tensor, shift: int) -> tuple[Tensor, Tensor]:
    """The frames that both have, without those at the ends of either."""
    begin = max(shift, 0) + _EDGE
    end = min(own.shape[1], values.shape[1] + shift) - _EDGE
    if end <= begin:
        return values[:, :0], own[:, :0]
    return values[:, begin - shift : end - shift], own[:, begin:end]


def _line(theirs: Tensor, ours: Tensor) -> tuple[float, float, bool, float, float] | None:
    """The line through the values: the last five fields of a RecordingMatch."""
    theirs, ours = theirs.double(), ours.double()
    inside = (ours > _FAINT) & (theirs > theirs.min() + 1e-6) & (theirs < theirs.max() - 1e-6)
    if inside.sum() < 100:
        inside = theirs > theirs.min() + 1e-6
    if inside.sum() < 30:
        return None
    slope, offset = _robust_line(ours[inside], theirs[inside])
    if not slope > 1e-4:
        return None
    whole = _deviations((theirs - offset - slope * ours)[inside] / slope)
    bands = [_band_line(t[i], o[i]) for t, o, i in zip(theirs, ours, inside, strict=True)]
    found = [band for band in bands if band is not None]
    if whole[0] <= 0.02 or len(found) < 0.5 * len(theirs):
        return slope, offset, False, *whole
    single = _deviations(torch.cat([deviations for *_, deviations in found]))
    if single[0] > min(0.3 * whole[0], 0.05):
        return slope, offset, False, *whole
    mean_slope = sum(slope for slope, _, _ in found) / len(found)
    mean_offset = sum(offset for _, offset, _ in found) / len(found)
    return mean_slope, mean_offset, True, *single


def _band_line(theirs: Tensor, ours: Tensor) -> tuple[float, float, Tensor] | None:
    if len(theirs) < 12 or ours.std() < 1e-3:
        return None
    slope, offset = _robust_line(ours, theirs)
    return (slope, offset, (theirs - offset - slope * ours) / slope) if slope > 1e-4 else None


def _robust_line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and offset by least squares, three times with the farthest 10 % left out."""
    keep = torch.ones_like(x, dtype=torch.bool)
    slope, offset = 0.0, 0.0
    for _ in range(4):
        means = x[keep].mean(), y[keep].mean()
        covariance = ((x[keep] - means[0]) * (y[keep] - means[1])).sum()
        slope = (covariance / (x[keep] - means[0]).square().sum().clamp_min(1e-12)).item()
        offset = (means[1] - slope * means[0]).item()
        off = (y - offset - slope * x).abs()
        keep = off <= off.quantile(0.9) if len(off) < 10**7 else keep
    return slope, offset


def _deviations(values: Tensor) -> tuple[float, float]:
    """The largest absolute value, but for 0.1 % of them, and the median."""
    ordered = values.abs().flatten().sort().values
    return ordered[int(0.999 * (len(ordered) - 1))].item(), ordered[len(ordered) // 2].item()
