"""The sounds of runs for a page: validation clips by step beside the recording, with pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vocoder.errors import VocoderError
from vocoder.io.audio import read_audio
from vocoder.pages.media import audio_data, common_gain, picture_data
from vocoder.plots.png import png
from vocoder.plots.spectrogram import difference, spectrum_picture
from vocoder.training.reporting.samples import RECORDING_NAME, SAMPLES_NAME, step_of
from vocoder.training.runs.report.reading import ReportedRun

_SIZE = (640, 160)  # pixels of a picture
_RANGE_DB, _DIFFERENCE_DB = 80.0, 20.0


@dataclass(frozen=True)
class _Version:
    """A file that is heard: a recording, or what a run made of it at a step."""

    run: str
    label: str
    path: Path


def sounds(runs: Sequence[ReportedRun]) -> tuple[list[dict[str, Any]], list[str]]:
    """Clips with their versions, as plain values for a page, and notes on what cannot be heard.

    Clips of several runs go together where their names are equal.
    """
    clips: dict[str, list[_Version]] = {}
    for each in runs:
        for folder in sorted((each.run.folder / SAMPLES_NAME).glob("*/")):
            recording = folder / RECORDING_NAME
            if not recording.exists():
                continue
            versions = clips.setdefault(folder.name, [_Version("", "recording", recording)])
            steps = sorted((step_of(path) or 0, path) for path in folder.glob("step-*.flac"))
            versions += [_Version(each.name, f"step {step:,}", path) for step, path in steps]
    notes = [
        f"{each.name}: kept no sounds (trainer.sample_clips=0, or a run of an earlier release)"
        for each in runs
        if not any((each.run.folder / SAMPLES_NAME).glob("*/*.flac"))
    ]
    made = []
    for name in sorted(clips):
        clip, said = _clip(name, clips[name])
        notes += said
        made += [clip] if clip else []
    return made, notes


def _clip(name: str, versions: Sequence[_Version]) -> tuple[dict[str, Any] | None, list[str]]:
    """A clip for a page; None if its recording cannot be read."""
    heard: list[tuple[_Version, Tensor, int]] = []
    notes = []
    for version in versions:
        try:
            audio, sample_rate = read_audio(version.path)
        except VocoderError as error:
            notes.append(str(error))
        else:
            heard.append((version, audio, sample_rate))
    if not heard or heard[0][0] is not versions[0]:
        return None, notes
    gain = common_gain(audio for _, audio, _ in heard)
    clip = {
        "name": name.partition("-")[2],
        "seconds": heard[0][1].shape[-1] / heard[0][2],
        "versions": [
            {
                "run": version.run,
                "label": version.label,
                "sound": audio_data(audio * gain, sample_rate),
                **_pictures((audio, sample_rate), (heard[0][1], heard[0][2])),
            }
            for version, audio, sample_rate in heard
        ],
    }
    if gain < 1.0:
        notes.append(f"{name}: all its sounds are played at {gain:.2f} times their level")
    return clip, notes


def _pictures(own: tuple[Tensor, int], recording: tuple[Tensor, int]) -> dict[str, str | float]:
    """The spectrogram of a sound, coloured as that of the recording, and what differs from it."""
    picture, first = (
        spectrum_picture(audio[0], rate, columns=_SIZE[0]) for audio, rate in (own, recording)
    )
    top = float(first.decibels.max())
    made: dict[str, str | float] = {
        "picture": picture_data(png(picture.decibels, top - _RANGE_DB, top, size=_SIZE)),
        "kilohertz": picture.hertz / 1000.0,
    }
    alike = own[1] == recording[1] and own[0].shape == recording[0].shape
    if alike and own[0] is not recording[0]:
        less = difference(first, picture, _RANGE_DB).decibels
        encoded = png(less, -_DIFFERENCE_DB, _DIFFERENCE_DB, colours="difference", size=_SIZE)
        made["difference"] = picture_data(encoded)
    return made
