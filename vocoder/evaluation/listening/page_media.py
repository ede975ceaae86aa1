"""Sounds and pictures of one utterance for the listening report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vocoder.dsp.filterbank import hz_to_mel
from vocoder.evaluation.alignment import Alignment, load_pair
from vocoder.evaluation.listening.loudness import matching_gains
from vocoder.evaluation.report import FileScore
from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.pages.media import audio_data, common_gain, envelope, picture_data
from vocoder.plots.png import png
from vocoder.plots.spectrogram import mel_picture, spectrum_picture

RANGE_DB = 80.0  # of spectrograms, below the loudest point of all versions
DIFFERENCE_DB = 20.0  # at the ends of the scale of mel differences
COMPARED_DB = 60.0  # what lies deeper below the loudest point of both counts as equal
MELS = 80
_COLUMNS, _ROWS = 480, 144  # pixels of a spectrogram
_POINTS = 480  # of a waveform


@dataclass(frozen=True, kw_only=True)
class SoundAndPictures:
    """One version of an utterance, encoded: what a page plays and shows of it.

    `difference` is None for the reference. `gain` in dB matches the loudness of the
    reference, None where that cannot be.
    """

    sample_rate: int
    sound: str
    waveform: list[int]
    spectrogram: str
    difference: str | None
    mean_difference: float
    gain: float | None


class _Version(NamedTuple):
    """A sound, and the reference at its rate that it was compared with (None for that itself).

    `begin` is where both begin, in samples of the whole reference.
    """

    sound: Tensor
    sample_rate: int
    reference: Tensor | None
    begin: int


class _Scale(NamedTuple):
    """Upper ends of the colours and of the frequencies, alike for all spectrograms of a file."""

    decibels: float
    hertz: float


@dataclass(frozen=True, kw_only=True)
class UtteranceMedia:
    """All versions of an utterance on one time axis: the reference first, then by system.

    `hertz` is the upper end of the spectrograms. `scaled` is the factor that keeps all within full
    scale, mostly 1, and `peak` the highest sample then.
    """

    seconds: float
    hertz: float
    channels: int
    scaled: float
    peak: float
    reference: SoundAndPictures
    systems: dict[str, SoundAndPictures]


def utterance_media(scores: Mapping[str, FileScore]) -> UtteranceMedia:
    """Read and encode the versions of one utterance, aligned as they were scored.

    `scores` has those of the file by system. Raises AudioError for a file that cannot be read.
    """
    versions = _versions(list(scores.values()))
    seconds = max((v.begin + v.sound.shape[-1]) / v.sample_rate for v in versions)
    scaled = common_gain(version.sound for version in versions)
    versions = [_placed(version, scaled, seconds) for version in versions]
    sounds = [version.sound for version in versions]
    rates = [version.sample_rate for version in versions]
    spectra = [_spectrum(version) for version in versions]
    scale = _Scale(max(float(each.max()) for each in spectra), max(rates) / 2)
    gains = matching_gains(sounds, rates)
    encoded = [_encode(*each, scale) for each in zip(versions, spectra, gains, strict=True)]
    return UtteranceMedia(
        seconds=seconds,
        hertz=scale.hertz,
        channels=len(sounds[0]),
        scaled=scaled,
        peak=max(float(sound.abs().max()) for sound in sounds),
        reference=encoded[0],
        systems=dict(zip(scores, encoded[1:], strict=True)),
    )


def legends() -> dict[str, str]:
    """Colour bars of the spectrograms and of the mel differences."""
    bar = torch.linspace(0.0, 1.0, 64)[None]
    return {
        "spectrum": picture_data(png(bar, 0.0, 1.0)),
        "difference": picture_data(png(bar, 0.0, 1.0, colours="difference")),
    }


def mel_share(hertz: float, top_hz: float) -> float:
    """Height of a frequency in a mel difference, as a share of the picture."""
    mels = hz_to_mel(torch.tensor([hertz, top_hz]), "slaney")
    return float(mels[0] / mels[1])


def _versions(scores: Sequence[FileScore]) -> list[_Version]:
    """The reference and what the systems made of it, as they were compared."""
    systems = []
    for score in scores:
        paths, known = (Path(score.reference), Path(score.estimate)), score.alignment
        pair = load_pair(*paths, align=known.removed, known=known)
        begin = begin_of(known)
        systems.append(_Version(pair.estimate, pair.sample_rate, pair.reference, begin))
    # Pairs have the lower rate of their two files: the reference is heard at the highest of these,
    # and as whole as any of them has it.
    best = max(systems, key=lambda v: (v.sample_rate, -v.begin, v.sound.shape[-1]))
    assert best.reference is not None
    return [_Version(best.reference, best.sample_rate, None, best.begin), *systems]


def begin_of(alignment: Alignment) -> int:
    """Samples of the reference before the beginning of a pair, whose estimate was early."""
    return max(0, -math.floor(alignment.delay)) if alignment.removed else 0


def _placed(version: _Version, scaled: float, seconds: float) -> _Version:
    """The same, scaled, and with silence around it, so that all have the time of the reference."""
    samples = round(seconds * version.sample_rate)

    def place(audio: Tensor) -> Tensor:
        end = max(0, samples - version.begin - audio.shape[-1])
        return scaled * F.pad(audio, (version.begin, end))

    reference = None if version.reference is None else place(version.reference)
    return version._replace(sound=place(version.sound), reference=reference, begin=0)


def _spectrum(version: _Version) -> Tensor:
    mono = version.sound.mean(0)
    return spectrum_picture(mono, version.sample_rate, columns=_COLUMNS).decibels


def _encode(
    version: _Version, spectrum: Tensor, gain: float | None, scale: _Scale
) -> SoundAndPictures:
    floor = scale.decibels - RANGE_DB
    beyond = round(len(spectrum) * (scale.hertz / (version.sample_rate / 2) - 1.0))
    spectrum = F.pad(spectrum, (0, 0, 0, beyond), value=floor)
    difference = _difference(version)
    return SoundAndPictures(
        sample_rate=version.sample_rate,
        sound=audio_data(version.sound, version.sample_rate),
        waveform=envelope(version.sound, _POINTS),
        spectrogram=picture_data(png(spectrum, floor, scale.decibels, size=(_COLUMNS, _ROWS))),
        difference=None if difference is None else _difference_picture(difference),
        mean_difference=0.0 if difference is None else float(difference.abs().mean()),
        gain=gain,
    )


def _difference(version: _Version) -> Tensor | None:
    """Mel spectrogram less that of the reference, in dB.   Shape: [M, F]."""
    if version.reference is None:
        return None
    window = max(4, round(0.04 * version.sample_rate))
    spec = MelSpec(
        sample_rate=version.sample_rate,
        n_fft=1 << (window - 1).bit_length(),
        hop_length=min(max(1, version.sound.shape[-1] // _COLUMNS), window // 2),
        win_length=window,
        n_mels=MELS,
    )
    transform = MelSpectrogram(spec)
    estimate, reference = (
        mel_picture(transform(audio.mean(0)[None, None])[0], spec).decibels
        for audio in (version.sound, version.reference)
    )
    floor = max(float(estimate.max()), float(reference.max())) - COMPARED_DB
    return estimate.clamp_min(floor) - reference.clamp_min(floor)


def _difference_picture(difference: Tensor) -> str:
    size, limit = (_COLUMNS, MELS), DIFFERENCE_DB
    return picture_data(png(difference, -limit, limit, colours="difference", size=size))
