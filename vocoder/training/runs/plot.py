"""Curves of runs as a picture, or as a web page with the picture in it."""

import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vocoder.errors import ConfigError
from vocoder.io.atomic import replacing_file
from vocoder.training.runs.folder import RISING, Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf", ".html")


def plot(
    path: Path,
    curves: Mapping[str, Curve],
    *,
    metrics: Sequence[str],
    reference: Curve | None = None,
    sentences: Sequence[str] = (),
) -> None:
    """Write the validation scores of runs by step to a picture or, as .html, to a page.

    Raises ConfigError for a format that is not of `FORMATS`, and for scores that no run has.

    Args:
        path: The file, whose suffix selects the format.
        curves: Curves of the runs, by the names in the legend.
        metrics: Scores to show, each in a panel of its own; none for all there are.
        reference: A curve to compare them with, drawn dashed.
        sentences: Lines of text above the picture of a page.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: choose a name that ends in {', '.join(FORMATS)}")
    known = sorted({name for curve in curves.values() for name in curve.metrics})
    missing = [name for name in metrics if name not in known]
    if missing or not known:
        has = f"they have {', '.join(known)}" if known else "they have no validation yet"
        raise ConfigError(f"no run has the score {', '.join(missing) or 'log_mel'}; {has}")
    figure = _figure(curves, list(metrics) or known, reference)
    with replacing_file(path) as temporary:
        if path.suffix == ".html":
            temporary.write_text(_page(figure, sentences), encoding="utf-8")
        else:
            figure.savefig(temporary, format=path.suffix[1:], dpi=120)


def _figure(
    curves: Mapping[str, Curve], metrics: Sequence[str], reference: Curve | None
) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError("plots need matplotlib: pip install 'vocoder[train]'") from error
    figure = Figure(figsize=(5.0 * len(metrics), 3.6), layout="constrained")
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for panel, metric in zip(panels, metrics, strict=True):
        if reference is not None and reference.scores(metric):
            scores = reference.scores(metric)
            panel.plot([*scores], [*scores.values()], "--", color="grey", label="reference")
        for name, curve in curves.items():
            scores = curve.scores(metric)
            panel.plot([*scores], [*scores.values()], ".-", label=name)
        better = "higher" if metric in RISING else "lower"
        panel.set(title=metric, xlabel="step", ylabel=f"{metric} ({better} is better)")
        panel.grid(alpha=0.3)
    panels[0].legend()
    return figure


def _page(figure: "Figure", sentences: Sequence[str]) -> str:
    """A web page that needs no other file."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg")
    picture = drawn.getvalue()
    lines = "".join(f"<p>{html.escape(sentence)}</p>\n" for sentence in sentences)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Curves</title>\n'
        f"<body>\n{lines}{picture[picture.index('<svg') :]}</body>\n</html>\n"
    )
