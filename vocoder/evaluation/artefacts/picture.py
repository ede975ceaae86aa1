"""Pictures of artefacts: what was found, where, and what the reference has there."""

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis
from vocoder.evaluation.artefacts.artefact import Artefact
from vocoder.evaluation.artefacts.catalogue import DETECTORS, check
from vocoder.plots.figure import DifferencePanel, Mark, Panel, SpectrumPanel, WaveformPanel, figure
from vocoder.plots.spectrogram import difference, spectrum_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARGIN = {"waveform": 0.02, "spectrum": 0.5, "pitch": 0.4}  # seconds on each side
_LONGEST = 8.0  # seconds; of longer artefacts the beginning is shown
_LONGEST_WAVEFORM = 0.1
_HARMONICS = 6.0  # shown of a note
_PERIODIC = 0.85
_LEAST_HEIGHT = 0.04  # of the frequency axis
_COLUMNS = 88  # letters of a line of the title


def picture(
    artefact: Artefact, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
) -> "Figure":
    """Draw an artefact with what is around it, above the same part of the reference. Shape: [T].

    A waveform for clicks, gaps, offsets and clipping, a spectrogram with F0 for held notes, a
    spectrogram and its difference for the others. The artefact is framed, its sentence is the
    title. Write it by `vocoder.plots.style.save`. Raises AudioError for audio that `detect`
    refuses, ConfigError without matplotlib.
    """
    signals = {"estimate": estimate} | ({} if reference is None else {"reference": reference})
    kind = DETECTORS[artefact.detector].picture
    begin, end = _shown(artefact, kind, len(estimate) / sample_rate)
    mark = _mark(artefact, end, sample_rate / 2)
    panels: list[Panel | None] = []
    for name, audio in signals.items():
        check(audio, sample_rate, name)
        part = audio[round(begin * sample_rate) : round(end * sample_rate)]
        marks = [mark] if name == "estimate" else []
        if kind == "waveform":
            panels.append(_waveform(part, sample_rate, begin, name, marks))
        else:
            panels.append(_spectrum(part, sample_rate, begin, name, marks, artefact, kind))
    spectra = [panel.picture for panel in panels if isinstance(panel, SpectrumPanel)]
    if kind == "spectrum" and len(spectra) == 2:
        # `difference` is of the second less the first.
        less = difference(spectra[1], spectra[0])
        panels.append(DifferencePanel(picture=less, title="estimate less reference"))
    return figure(panels, title="\n".join(textwrap.wrap(artefact.words, _COLUMNS)))


def _mark(artefact: Artefact, end: float, top: float) -> Mark:
    """The frame around an artefact; that around a line leaves the line to be seen."""
    low, high = artefact.low_hz, artefact.high_hz
    if low is not None and high is not None and high - low < _LEAST_HEIGHT * top:
        middle, half = (low + high) / 2, _LEAST_HEIGHT * top / 2
        low, high = max(0.0, middle - half), min(top, middle + half)
    return Mark(begin=artefact.begin, end=min(artefact.end, end), low_hz=low, high_hz=high)


def _shown(artefact: Artefact, kind: str, seconds: float) -> tuple[float, float]:
    """Part of the recording that is drawn, in seconds."""
    margin = _MARGIN[kind]
    begin = max(0.0, artefact.begin - margin)
    longest = _LONGEST_WAVEFORM if kind == "waveform" else _LONGEST
    end = min(seconds, artefact.end + margin, begin + max(longest, 2.0 * margin))
    if kind == "spectrum":
        end = min(seconds, max(end, begin + 2.0 * margin))
    return begin, end


def _waveform(
    audio: Tensor, sample_rate: int, begin: float, name: str, marks: list[Mark]
) -> WaveformPanel:
    return WaveformPanel(audio=audio, sample_rate=sample_rate, title=name, begin=begin, marks=marks)


def _spectrum(
    audio: Tensor,
    sample_rate: int,
    begin: float,
    name: str,
    marks: list[Mark],
    artefact: Artefact,
    kind: str,
) -> SpectrumPanel:
    """Spectrogram of a part; of a held note the first harmonics and F0."""
    if kind != "pitch":
        drawn = spectrum_picture(audio, sample_rate)
        return SpectrumPanel(picture=replace(drawn, begin=begin), title=name, marks=marks)
    top = max(1000.0, _HARMONICS * (artefact.high_hz or 0.0))
    drawn = replace(spectrum_picture(audio, sample_rate, f_max=top), begin=begin)
    signal = Analysis(audio, sample_rate)
    pitch = signal.pitch
    seconds = begin + (torch.arange(len(pitch.f0)) + 0.5) * signal.frame_seconds
    hz = torch.where(pitch.strength > _PERIODIC, pitch.f0, torch.nan)
    return SpectrumPanel(picture=drawn, title=name, marks=marks, f0=(seconds, hz))
