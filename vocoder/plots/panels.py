"""Panels of a figure from recordings and mels: each of its own, and the differences of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import torch
from torch import Tensor

from vocoder.dsp.pitch import track_pitch
from vocoder.errors import ConfigError, MelMismatchError
from vocoder.features.mel import MelSpec
from vocoder.features.mel_conversion import convert
from vocoder.plots.figure import DifferencePanel, Panel, SpectrumPanel, WaveformPanel
from vocoder.plots.inputs import Drawn, DrawnAudio, DrawnMel
from vocoder.plots.spectrogram import (
    FrequencyAxis,
    SpectrumPicture,
    difference,
    mel_picture,
    spectrum_picture,
)

KINDS = ("waveform", "spectrogram", "mel")
_F0_RANGE = (60.0, 1000.0)  # of the tracker, in Hz: speech and most singing
_COLUMNS = 1200  # frames of a drawn fundamental, at most
_SAME_LENGTH = 1e-3  # seconds


@dataclass(frozen=True, kw_only=True)
class PanelSettings:
    """What is drawn of each input, and how. Raises ConfigError for what cannot be drawn."""

    kinds: Sequence[str] = ("waveform", "spectrogram")
    """Panels of a recording, of `KINDS`. A mel file has its mel."""
    spec: MelSpec | None = None
    """Settings of the mels of recordings."""
    f_max: float | None = None
    window_ms: float = 40.0
    axis: FrequencyAxis = "linear"
    f0: bool = False
    """Draw the fundamental frequency over the spectra of recordings."""
    dynamic_range: float = 80.0
    """In differences, levels further below the highest count as equal."""

    def __post_init__(self) -> None:
        """Check the kinds."""
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ConfigError(f"no panel {', '.join(unknown)!r}; panels are {', '.join(KINDS)}")
        if "mel" in self.kinds and self.spec is None:
            raise ConfigError("a mel of a recording needs mel settings; name them by --preset")


def arranged(
    inputs: Sequence[Drawn],
    labels: Sequence[str],
    settings: PanelSettings,
    *,
    differences: bool = False,
    columns: int = 1,
) -> tuple[list[Panel | None], list[str]]:
    """Panels for `figure`, with each input in a column of its own, and notes on what was done.

    Raises what `differences_of` raises.

    Args:
        inputs: What is drawn.
        labels: A title for each.
        settings: Which panels, and how.
        differences: Also draw the difference of each other input and the first.
        columns: Inputs beside each other; None fills the places of those that have fewer panels.
    """
    stacks = [panels_of(*pair, settings) for pair in zip(inputs, labels, strict=True)]
    notes = [
        f"{each.name}: the mean of its {each.channels} channels is drawn"
        for each in inputs
        if isinstance(each, DrawnAudio) and each.channels > 1
    ]
    if differences:
        for other, label in zip(inputs[1:], labels[1:], strict=True):
            title = f"{label} less {labels[0]}"
            made, said = differences_of(inputs[0], other, title, settings)
            stacks.append(made)
            notes += said
    rows = [stacks[first : first + columns] for first in range(0, len(stacks), columns)]
    empty: list[Panel] = []
    flat: list[Panel | None] = []
    for row in rows:
        for line in zip_longest(*row, *[empty] * (columns - len(row))):
            flat += line
    return flat, notes


def panels_of(drawn: Drawn, title: str, settings: PanelSettings) -> list[Panel]:
    """The panels of one input; the first has the title."""
    if isinstance(drawn, DrawnMel):
        return [SpectrumPanel(picture=_mel(drawn, settings), title=title)]
    f0 = _f0(drawn) if settings.f0 else None
    made: list[Panel] = []
    for kind, heading in zip_longest(settings.kinds, [title], fillvalue=""):
        if kind == "waveform":
            made.append(
                WaveformPanel(
                    audio=drawn.audio,
                    sample_rate=drawn.sample_rate,
                    title=heading,
                    begin=drawn.begin,
                )
            )
        elif kind == "spectrogram":
            made.append(SpectrumPanel(picture=_spectrum(drawn, settings), title=heading, f0=f0))
        elif settings.spec is not None:
            picture = _mel(drawn.mel(settings.spec), settings)
            made.append(SpectrumPanel(picture=picture, title=heading, f0=f0))
    return made


def differences_of(
    first: Drawn, other: Drawn, title: str, settings: PanelSettings
) -> tuple[list[Panel], list[str]]:
    """Panels of `other` less `first` over the time that both have, and notes on what was done.

    Two recordings are compared by the kinds of panel they have, at the lower of their sample
    rates; a mel by its settings, with a mel of those settings. Raises ConfigError if no panel has
    frequencies, MelMismatchError for mels that cannot be converted exactly.
    """
    gap, common = other.seconds - first.seconds, min(first.seconds, other.seconds)
    notes = []
    if abs(gap) > _SAME_LENGTH:
        notes.append(
            f"{other.name} is {abs(gap):.3f} s {'longer' if gap > 0 else 'shorter'} than "
            f"{first.name}; the difference is of the common {common:.3f} s"
        )
    if isinstance(first, DrawnAudio) and isinstance(other, DrawnAudio):
        rate = min(first.sample_rate, other.sample_rate)
        if first.sample_rate != other.sample_rate:
            notes.append(f"{first.name} and {other.name} are compared at {rate} Hz")
        pair = [each.at_rate(rate).first(common) for each in (first, other)]
        pictures = _pictures(pair, settings)
    else:
        spec = next(each.spec for each in (first, other) if isinstance(each, DrawnMel))
        pictures = [[_mel(_as_mel(each, spec), settings) for each in (first, other)]]
    if not pictures:
        raise ConfigError("a difference needs a panel spectrogram or mel")
    made = [difference(pair[0], pair[1], settings.dynamic_range) for pair in pictures]
    titles = [title] + [""] * (len(made) - 1)
    return [DifferencePanel(picture=p, title=t) for p, t in zip(made, titles, strict=True)], notes


def _pictures(pair: Sequence[DrawnAudio], settings: PanelSettings) -> list[list[SpectrumPicture]]:
    """The pictures of two recordings that have frequencies, of one kind each."""
    pictures = []
    if "spectrogram" in settings.kinds:
        pictures.append([_spectrum(each, settings) for each in pair])
    if "mel" in settings.kinds and settings.spec is not None:
        pictures.append([_mel(each.mel(settings.spec), settings) for each in pair])
    return pictures


def _spectrum(drawn: DrawnAudio, settings: PanelSettings) -> SpectrumPicture:
    picture = spectrum_picture(
        drawn.audio,
        drawn.sample_rate,
        f_max=settings.f_max,
        window_ms=settings.window_ms,
        axis=settings.axis,
    )
    return replace(picture, begin=drawn.begin)


def _mel(drawn: DrawnMel, settings: PanelSettings) -> SpectrumPicture:
    picture = mel_picture(drawn.values, drawn.spec)
    count = len(picture.frequencies)
    if settings.f_max is not None:
        count = max(1, int((picture.frequencies <= settings.f_max).sum()))
    return replace(
        picture,
        decibels=picture.decibels[:count],
        frequencies=picture.frequencies[:count],
        hertz=min(picture.hertz, settings.f_max or picture.hertz),
        begin=picture.begin + drawn.begin,
    )


def _as_mel(drawn: Drawn, spec: MelSpec) -> DrawnMel:
    """A recording as a mel of these settings, or a mel converted to them."""
    if isinstance(drawn, DrawnAudio):
        return drawn.mel(spec)
    try:
        return replace(drawn, values=convert(drawn.values, drawn.spec, spec), spec=spec)
    except MelMismatchError as error:
        raise MelMismatchError(f"{drawn.name}: {error}") from error


def _f0(drawn: DrawnAudio) -> tuple[Tensor, Tensor]:
    """Times in seconds and the fundamental frequency there, NaN in unvoiced frames."""
    hop = max(round(0.01 * drawn.sample_rate), -(-len(drawn.audio) // _COLUMNS))
    low, high = _F0_RANGE
    pitch = track_pitch(
        drawn.audio[None],
        sample_rate=drawn.sample_rate,
        hop_length=hop,
        f_min=low,
        f_max=high,
    )
    hertz = pitch.f0[0].where(pitch.voiced[0], torch.nan)
    times = (torch.arange(len(hertz)) + 0.5) * hop / drawn.sample_rate
    return drawn.begin + times, hertz
