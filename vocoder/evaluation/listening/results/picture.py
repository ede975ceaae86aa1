"""Picture of the results of a listening test: boxes of ratings, or shares with intervals."""

from typing import TYPE_CHECKING

import numpy as np

from vocoder.evaluation.listening.results.analysis import Comparison, ListeningResults, Rated
from vocoder.plots.style import QUIET, FigureStyle, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ZONES = ("Bad", "Poor", "Fair", "Good", "Excellent")


def results_figure(results: ListeningResults, *, style: FigureStyle = "light") -> "Figure":
    """Draw the results: a box per condition of MUSHRA, an interval per comparison of ABX and AB.

    Boxes hold the quartiles of all ratings, whiskers reach to the last rating within 1.5 box
    lengths, diamonds are means with their 95 % intervals. Write it by `vocoder.plots.style.save`.
    Raises ConfigError if matplotlib is missing.
    """
    outcome = results.outcome
    with styled(style):
        from matplotlib.figure import Figure

        count = len(outcome.ratings) if isinstance(outcome, Rated) else len(outcome)
        wide = (max(3.4, 0.9 * count + 1.2), 3.0)
        size = wide if isinstance(outcome, Rated) else (5.2, 0.45 * count + 1.0)
        drawn = Figure(figsize=size, layout="constrained")
        axes = drawn.subplots()
        if isinstance(outcome, Rated):
            _boxes(axes, outcome)
        else:
            _shares(axes, outcome, abx=results.kind == "abx")
    return drawn


def _boxes(axes: "Axes", rated: Rated) -> None:
    names = list(rated.ratings)
    places = np.arange(len(names))
    axes.boxplot(
        [values.ravel() for values in rated.ratings.values()],
        positions=places.tolist(),
        widths=0.5,
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": QUIET},
        medianprops={"color": "C1", "linewidth": 1.4},
    )
    for x, mean in zip(places, rated.means.values(), strict=True):
        if mean.low is not None and mean.high is not None:
            axes.plot([x + 0.36] * 2, [mean.low, mean.high], color="C0")
        axes.plot(x + 0.36, mean.mean, "D", color="C0", markersize=4)
    axes.set_xticks(places, names, rotation=20 if len(names) > 4 else 0)
    axes.set(ylim=(-2, 102), yticks=range(0, 101, 20), ylabel="rating")
    axes.set_xlim(-0.6, len(names) - 0.3)
    axes.grid(axis="y", alpha=0.25, linewidth=0.4)
    for i, zone in enumerate(_ZONES):
        axes.annotate(
            zone,
            (1.01, 20 * i + 10),
            xycoords=("axes fraction", "data"),
            va="center",
            color=QUIET,
            annotation_clip=False,
        )


def _shares(axes: "Axes", comparisons: tuple[Comparison, ...], *, abx: bool) -> None:
    for y, each in enumerate(comparisons):
        test = each.overall
        axes.plot([100 * test.low, 100 * test.high], [y, y], color="C0")
        axes.plot(100 * test.share, y, "D", color="C0", markersize=4)
    axes.axvline(50, color=QUIET, linestyle="--", linewidth=0.8)
    between = " or " if abx else " before "
    axes.set_yticks(range(len(comparisons)), [between.join(each.pair) for each in comparisons])
    axes.set(xlim=(0, 100), ylim=(len(comparisons) - 0.5, -0.5))
    axes.set_xlabel("right answers, %" if abx else "answers that prefer the first, %")
    axes.grid(axis="x", alpha=0.25, linewidth=0.4)
