"""Figures of waveforms, spectrograms, mels and differences, with axes, units and colour bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vocoder.errors import ConfigError
from vocoder.plots.png import COLOUR_MAPS
from vocoder.plots.spectrogram import SpectrumPicture
from vocoder.plots.style import FigureStyle, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_WIDTH, _HEIGHT = 6.3, 1.7  # inches of a column of panels and of a row
_POINTS = 2000  # of a drawn waveform: longer ones are drawn as an envelope
_HERTZ = (50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000)
_MARKED = {"spectrum": "#4dfff0", "difference": "black", "waveform": "#d55e00"}


@dataclass(frozen=True)
class Mark:
    """A region to point at in a panel; without frequencies it spans the whole height."""

    begin: float
    """Seconds."""
    end: float
    low_hz: float | None = None
    high_hz: float | None = None
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class WaveformPanel:
    """A waveform. Shape of the audio: [T]."""

    audio: Tensor
    sample_rate: int
    title: str = ""
    begin: float = 0.0
    """Time of the first sample in seconds."""
    marks: Sequence[Mark] = ()


@dataclass(frozen=True, kw_only=True)
class SpectrumPanel:
    """A spectrogram or a mel, with the fundamental frequency over it where it is given."""

    picture: SpectrumPicture
    title: str = ""
    marks: Sequence[Mark] = ()
    f0: tuple[Tensor, Tensor] | None = None
    """Seconds and Hz, NaN where there is no voice. Shape: [F], [F]."""


@dataclass(frozen=True, kw_only=True)
class DifferencePanel:
    """A difference of two spectrograms or mels in dB, coloured around zero."""

    picture: SpectrumPicture
    title: str = ""
    marks: Sequence[Mark] = ()


Panel = WaveformPanel | SpectrumPanel | DifferencePanel


def figure(
    panels: Sequence[Panel | None],
    *,
    title: str = "",
    columns: int = 1,
    size: tuple[float, float] | None = None,
    style: FigureStyle = "light",
    dynamic_range: float = 80.0,
    difference_range: float = 20.0,
) -> "Figure":
    """Draw panels over a common time axis; equal colours mean equal levels in all of them.

    Spectra of one unit share a colour scale, which ends at their highest level. The figure is
    matplotlib's own, made without pyplot; write it by `save`. Raises ConfigError if matplotlib is
    missing or there is nothing to draw.

    Args:
        panels: What is drawn, row by row; None leaves a place empty.
        title: Title of the figure.
        columns: Panels beside each other.
        size: Width and height in inches; by default one text column wide and high enough.
        style: "light" or "dark".
        dynamic_range: Levels shown below the highest, in dB.
        difference_range: Largest difference shown, in dB.
    """
    if not any(panels):
        raise ConfigError("a figure needs a panel")
    with styled(style):
        from matplotlib.figure import Figure

        rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
        flat = [all(isinstance(panel, WaveformPanel | None) for panel in row) for row in rows]
        heights = [0.5 if waveforms else 1.0 for waveforms in flat]
        height = _HEIGHT * sum(heights) + 0.5
        drawn = Figure(figsize=size or (_WIDTH * min(columns, 2), height), layout="constrained")
        table = drawn.subplots(
            len(rows), columns, sharex=True, squeeze=False, height_ratios=heights
        )
        grid: list[Axes] = [axes for row in table for axes in row]
        placed = [(axes, panel) for axes, panel in zip(grid, panels, strict=False) if panel]
        limits = _limits([panel for _, panel in placed], dynamic_range, difference_range)
        images = [_draw(axes, panel, limits[_scale_of(panel)]) for axes, panel in placed]
        _finish(grid, panels, columns)
        _colour_bars(drawn, grid, placed, images, columns)
        if title:
            drawn.suptitle(title, fontsize=9)
    return drawn


def _scale_of(panel: Panel) -> str:
    """Name of the scale that a panel shares with others."""
    if isinstance(panel, WaveformPanel):
        return "amplitude"
    return panel.picture.unit if isinstance(panel, SpectrumPanel) else "difference in dB"


def _limits(
    panels: Sequence[Panel], dynamic_range: float, difference_range: float
) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of each scale."""
    limits = {"difference in dB": (-difference_range, difference_range)}
    for panel in panels:
        name = _scale_of(panel)
        if isinstance(panel, WaveformPanel):
            peak = max(limits.get(name, (0, 1e-3))[1], 1.05 * float(panel.audio.abs().max()))
            limits[name] = (-peak, peak)
        elif isinstance(panel, SpectrumPanel):
            top = max(limits.get(name, (0, -np.inf))[1], float(panel.picture.decibels.max()))
            limits[name] = (top - dynamic_range, top)
    return limits


def _draw(axes: "Axes", panel: Panel, limits: tuple[float, float]) -> "AxesImage | None":
    axes.set_title(panel.title, loc="left")
    if isinstance(panel, WaveformPanel):
        _draw_waveform(axes, panel, limits)
        return None
    kind = "spectrum" if isinstance(panel, SpectrumPanel) else "difference"
    picture = panel.picture
    image = axes.imshow(
        picture.decibels.numpy(),
        cmap=COLOUR_MAPS[kind],
        vmin=limits[0],
        vmax=limits[1],
        origin="lower",
        aspect="auto",
        extent=(picture.begin, picture.begin + picture.seconds, 0.0, float(len(picture.decibels))),
    )
    _label_frequencies(axes, picture)
    if isinstance(panel, SpectrumPanel) and panel.f0 is not None:
        seconds, hertz = (each.double().numpy() for each in panel.f0)
        axes.plot(seconds, _height(picture, hertz), color=_MARKED[kind], linewidth=1.0)
    for mark in panel.marks:
        hertz = np.array([mark.low_hz or 0.0, mark.high_hz or picture.hertz])
        low, high = _height(picture, hertz)
        _draw_mark(axes, mark, (low, high), _MARKED[kind])
    return image


def _draw_waveform(axes: "Axes", panel: WaveformPanel, limits: tuple[float, float]) -> None:
    samples = panel.audio.detach().cpu().numpy()
    count = len(samples)
    if count <= 2 * _POINTS:
        axes.plot(panel.begin + np.arange(count) / panel.sample_rate, samples, linewidth=0.5)
    else:
        starts = np.arange(_POINTS) * count // _POINTS
        low, high = (part.reduceat(samples, starts) for part in (np.minimum, np.maximum))
        times = panel.begin + starts / panel.sample_rate
        axes.fill_between(times, low, high, linewidth=0.3, edgecolor="C0")
    axes.set(ylim=limits, ylabel="amplitude")
    for mark in panel.marks:
        _draw_mark(axes, mark, limits, _MARKED["waveform"])


def _draw_mark(axes: "Axes", mark: Mark, span: tuple[float, float], colour: str) -> None:
    from matplotlib.patches import Rectangle

    width, height = mark.end - mark.begin, span[1] - span[0]
    axes.add_patch(
        Rectangle((mark.begin, span[0]), width, height, fill=False, edgecolor=colour, linewidth=0.9)
    )
    axes.annotate(
        mark.words,
        (mark.begin, span[1]),
        xytext=(2, -2),
        textcoords="offset points",
        verticalalignment="top",
        color=colour,
        fontsize=6.5,
        annotation_clip=True,
    )


def _height(picture: SpectrumPicture, hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where frequencies lie on the vertical axis, whose rows have a height of one."""
    rows = np.arange(len(picture.frequencies)) + 0.5
    heights: NDArray[np.float64] = np.interp(hertz, picture.frequencies.double().numpy(), rows)
    return heights


def _label_frequencies(axes: "Axes", picture: SpectrumPicture) -> None:
    """Write round frequencies beside the rows: evenly spaced ones, or as many as have room."""
    from matplotlib.ticker import MaxNLocator

    lowest, steps = float(picture.frequencies[0]), picture.frequencies.diff()
    even = bool((steps - steps[0]).abs().max() < 0.01 * steps[0])
    choice = MaxNLocator(5).tick_values(lowest, picture.hertz) if even else _HERTZ
    hertz = np.array([each for each in choice if lowest <= each <= 1.001 * picture.hertz])
    rows = _height(picture, hertz)
    shown: list[int] = []
    for index in reversed(range(len(rows))):
        if not shown or rows[shown[-1]] - rows[index] > 0.12 * len(picture.frequencies):
            shown.append(index)
    axes.set_yticks(rows[shown], [f"{hertz[index] / 1000:g}" for index in shown])
    axes.set_ylabel("frequency in kHz")


def _finish(grid: "Sequence[Axes]", panels: Sequence[Panel | None], columns: int) -> None:
    """Common time axis, labelled under the lowest panel of each column; unused axes are hidden."""
    begins, ends = zip(*(_span(panel) for panel in panels if panel), strict=True)
    grid[0].set_xlim(min(begins), max(ends))
    used = {index for index, panel in enumerate(panels) if panel}
    for index, axes in enumerate(grid):
        if index not in used:
            axes.set_visible(False)
        elif not used & set(range(index + columns, len(grid), columns)):
            axes.set_xlabel("seconds")
            axes.tick_params(labelbottom=True)


def _span(panel: Panel) -> tuple[float, float]:
    """First and last time of a panel in seconds."""
    if isinstance(panel, WaveformPanel):
        return panel.begin, panel.begin + len(panel.audio) / panel.sample_rate
    return max(panel.picture.begin, 0.0), panel.picture.begin + panel.picture.seconds


def _colour_bars(
    drawn: "Figure",
    grid: "Sequence[Axes]",
    placed: "Sequence[tuple[Axes, Panel]]",
    images: "Sequence[AxesImage | None]",
    columns: int,
) -> None:
    """A colour bar beside each run of panels with one scale, or beside each row of several."""
    rows = {id(axes): place // columns for place, axes in enumerate(grid)}

    def run(item: "tuple[tuple[Axes, Panel], AxesImage]") -> tuple[str, int]:
        (axes, panel), _ = item
        return _scale_of(panel), rows[id(axes)] if columns > 1 else 0

    coloured = [(pair, image) for pair, image in zip(placed, images, strict=True) if image]
    for (unit, _), members in groupby(coloured, key=run):
        beside = list(members)
        axes = [pair[0] for pair, _ in beside]
        bar = drawn.colorbar(beside[0][1], ax=axes, label=unit, pad=0.01)
        bar.outline.set_linewidth(0.4)
