"""False alarms on clean recordings, and the weakest planted artefacts that are found."""

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair
from vocoder.evaluation.artefacts.artefact import Artefact
from vocoder.evaluation.artefacts.calibration.planted import PLANTED, Planted
from vocoder.evaluation.artefacts.catalogue import DETECTORS, check
from vocoder.io.audio import resample_soxr

_PEAK, _FADE = 0.5, 0.01
FOUND = 0.95  # share of the places in which a level counts as found


def _coded(audio: Tensor, sample_rate: int, container: str, encoding: str) -> Tensor:
    """Encode and decode by libsndfile. Shape: [T]."""
    coded = io.BytesIO()
    clipped = audio.clamp(-1.0, 1.0).numpy()
    best = None if container == "FLAC" else 0.0
    soundfile.write(
        coded, clipped, sample_rate, format=container, subtype=encoding, compression_level=best
    )
    coded.seek(0)
    decoded = torch.from_numpy(soundfile.read(coded, dtype="float32")[0])[: len(audio)]
    return F.pad(decoded, (0, len(audio) - len(decoded)))


def _rotated(audio: Tensor, sample_rate: int) -> Tensor:
    """Another phase of all frequencies above 20 Hz, 60 degrees."""
    spectrum = torch.fft.rfft(audio, n=2 * len(audio))
    turned = spectrum * torch.polar(torch.tensor(1.0), torch.tensor(torch.pi / 3))
    low = round(20.0 * 2 * len(audio) / sample_rate)
    turned[:low] = spectrum[:low]
    rotated: Tensor = torch.fft.irfft(turned, n=2 * len(audio))[: len(audio)]
    return rotated


def _resampled(audio: Tensor, sample_rate: int) -> Tensor:
    """To 9/8 of the sample rate and back."""
    back = resample_soxr(resample_soxr(audio, 8, 9), 9, 8)[: len(audio)]
    return F.pad(back, (0, len(audio) - len(back)))


HARMLESS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "FLAC": lambda audio, rate: _coded(audio, rate, "FLAC", "PCM_16"),
    "Vorbis": lambda audio, rate: _coded(audio, rate, "OGG", "VORBIS"),
    "resampled": _resampled,
    "phase": _rotated,
    "1 dB": lambda audio, rate: audio * 10.0 ** (-1.0 / 20.0),
}
"""What is done to a recording to make an estimate without artefacts."""


def prepared(audio: Tensor, sample_rate: int) -> Tensor:
    """A recording with room for other peaks, and without steps where it was cut. Shape: [T]."""
    ramp = torch.linspace(0.0, 1.0, round(_FADE * sample_rate))
    faded = audio * min(1.0, _PEAK / max(float(audio.abs().max()), 1e-9))
    faded[: len(ramp)] *= ramp
    faded[-len(ramp) :] *= ramp.flip(0)
    return faded


@dataclass
class FalseAlarms:
    """What detectors found in clean recordings: condition → detector → a line per recording.

    Conditions are "alone", without a reference, and those of `HARMLESS`, against the recording.
    """

    recordings: int = 0
    alarms: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def add(self, name: str, audio: Tensor, sample_rate: int) -> None:
        """Examine a recording under all conditions. Shape: [T]. Raises AudioError as `detect`."""
        check(audio, sample_rate, "audio")
        self.recordings += 1
        audio = prepared(audio, sample_rate)
        recording = Analysis(audio, sample_rate)
        pairs = {"alone": Pair(estimate=recording)}
        for change, changed in HARMLESS.items():
            estimate = Analysis(changed(audio, sample_rate), sample_rate)
            pairs[change] = Pair(estimate=estimate, reference=recording)
        for condition, pair in pairs.items():
            counts = self.alarms.setdefault(condition, {key: [] for key in DETECTORS})
            for key, detector in DETECTORS.items():
                counts[key] += [f"{name}: {found.words}" for found in detector.find(pair)[:1]]


@dataclass(frozen=True)
class Sensitivity:
    """Share of the planted artefacts that were found, by level, with and without the reference."""

    planted: Planted
    places: Mapping[float, int]
    """Recordings that had a place for it."""
    found: Mapping[float, float]
    found_alone: Mapping[float, float] | None

    def threshold(self, shares: Mapping[float, float]) -> float | None:
        """Weakest level from which on 95 % are found, None if there is none."""
        weakest = None
        for level in reversed(self.planted.levels):
            if shares.get(level, 0.0) < FOUND:
                break
            weakest = level
        return weakest


def sensitivity(planted: Planted, recordings: Iterable[tuple[Tensor, int]]) -> Sensitivity:
    """Plant an artefact at all of its levels in each recording, and look for it. Shape: [T]."""
    analyses = [Analysis(prepared(audio, rate), rate) for audio, rate in recordings]
    find = DETECTORS[planted.detector].find
    places: dict[float, int] = {}
    hits: dict[bool, dict[float, float]] = {False: {}, True: {}}
    for level in planted.levels:
        results: dict[bool, list[bool]] = {False: [], True: []}
        for number, recording in enumerate(analyses):
            rng = torch.Generator().manual_seed(number)
            audio = planted.plant(recording, level, rng)
            if audio is None:
                continue
            estimate = Analysis(audio, recording.sample_rate)
            results[True].append(bool(find(Pair(estimate=estimate, reference=recording))))
            if planted.bare:
                results[False].append(bool(find(Pair(estimate=estimate))))
        places[level] = len(results[True])
        for known, flags in results.items():
            if flags:
                hits[known][level] = sum(flags) / len(flags)
    return Sensitivity(planted, places, hits[True], hits[False] if planted.bare else None)


def examples(recordings: Iterable[tuple[Tensor, int]]) -> dict[str, tuple[Artefact, Pair]]:
    """One planted artefact that was found, for each detector, from the first fitting recording."""
    found: dict[str, tuple[Artefact, Pair]] = {}
    for audio, rate in recordings:
        recording = Analysis(prepared(audio, rate), rate)
        for planted in PLANTED:
            if planted.detector in found:
                continue
            for level in planted.levels[-2:]:
                changed = planted.plant(recording, level, torch.Generator().manual_seed(0))
                if changed is None:
                    continue
                pair = Pair(estimate=Analysis(changed, rate), reference=recording)
                artefacts = DETECTORS[planted.detector].find(pair)
                if artefacts:
                    found[planted.detector] = (artefacts[0], pair)
                    break
    return found
