"""Figures of values by step: scores, losses, speed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vocoder.errors import ConfigError
from vocoder.plots.style import QUIET, FigureStyle, styled

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 3.4, 2.4  # inches of a panel


@dataclass(frozen=True, kw_only=True)
class Line:
    """Values by step."""

    steps: Sequence[float]
    values: Sequence[float]
    label: str = ""
    """In the legend; lines of one label have one colour in all panels."""
    dashed: bool = False
    """A reference: dashed, and grey."""
    smooth: bool = False
    """Draw a moving average, and the values themselves faintly behind it."""


@dataclass(frozen=True, kw_only=True)
class CurvePanel:
    """Lines over one axis of steps."""

    title: str
    lines: Sequence[Line]
    label: str = ""
    """Of the vertical axis."""


def curve_figure(
    panels: Sequence[CurvePanel],
    *,
    columns: int = 3,
    title: str = "",
    style: FigureStyle = "light",
) -> "Figure":
    """Draw panels of curves beside each other, with one legend.

    Raises ConfigError if matplotlib is missing or there is nothing to draw.
    """
    if not panels:
        raise ConfigError("a figure needs a panel")
    with styled(style):
        from matplotlib.figure import Figure

        columns = min(columns, len(panels))
        rows = -(-len(panels) // columns)
        size = (_WIDTH * columns, _HEIGHT * rows + 0.4)
        drawn = Figure(figsize=size, layout="constrained")
        grid = [axes for row in drawn.subplots(rows, columns, squeeze=False) for axes in row]
        labels = dict.fromkeys(line.label for panel in panels for line in panel.lines)
        solid = [line.label for panel in panels for line in panel.lines if not line.dashed]
        colours = {label: f"C{index}" for index, label in enumerate(dict.fromkeys(solid))}
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, panel, colours)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        if any(labels):
            _legend(drawn, grid)
        if title:
            drawn.suptitle(title, fontsize=9)
    return drawn


def smoothed(values: Sequence[float]) -> list[float]:
    """Moving average whose weights fall by e over a fortieth of the values, at least two.

    Values that are not finite are left out.

    >>> smoothed([1.0, 1.0, 1.0])
    [1.0, 1.0, 1.0]
    """
    keep = 1.0 - 1.0 / max(2.0, len(values) / 40.0)
    total = weight = 0.0
    means = []
    for value in values:
        if math.isfinite(value):
            total, weight = keep * total + value, keep * weight + 1.0
        means.append(total / weight if weight else value)
    return means


def _draw(axes: "Axes", panel: CurvePanel, colours: dict[str, str]) -> None:
    for line in panel.lines:
        if line.dashed:
            axes.plot(line.steps, line.values, "--", color=QUIET, label=line.label)
            continue
        colour, shown = colours[line.label], line.values
        if line.smooth and len(line.values) > 4:
            axes.plot(line.steps, line.values, color=colour, alpha=0.25, linewidth=0.6)
            shown = smoothed(line.values)
        marker = "." if len(line.values) < 40 and not line.smooth else ""
        axes.plot(line.steps, shown, marker=marker, color=colour, label=line.label)
    axes.set(xlabel="step", ylabel=panel.label)
    axes.set_title(panel.title, loc="left")
    axes.grid(alpha=0.25, linewidth=0.4)
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    axes.locator_params(axis="x", nbins=5)


def _legend(drawn: "Figure", grid: "Sequence[Axes]") -> None:
    """One legend for all panels, below them."""
    found: dict[str, Artist] = {}
    for axes in grid:
        handles, labels = axes.get_legend_handles_labels()
        found |= {label: handle for handle, label in zip(handles, labels, strict=True) if label}
    place: Any = "outside lower center"  # matplotlib's stubs know no "outside"
    drawn.legend([*found.values()], [*found], loc=place, ncols=min(4, len(found)))
