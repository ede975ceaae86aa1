"""What runs reported by step, as panels of curves, and as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from vocoder.errors import ConfigError
from vocoder.plots.curves import CurvePanel, Line, curve_figure
from vocoder.plots.style import check_format, save
from vocoder.training.runs.folder import RISING, Curve


def plot(
    path: Path,
    curves: Mapping[str, Curve],
    *,
    metrics: Sequence[str],
    reference: Curve | None = None,
) -> None:
    """Write the validation scores of runs by step to a picture.

    Raises ConfigError for a format that is not of `vocoder.plots.style.FORMATS`, and for scores
    that no run has.

    Args:
        path: The file, whose suffix selects the format.
        curves: Curves of the runs, by the names in the legend.
        metrics: Scores to show, each in a panel of its own; none for all there are.
        reference: A curve to compare them with, drawn dashed.
    """
    check_format(path)
    references = {"reference": reference} if reference is not None else {}
    save(curve_figure(score_panels(curves, metrics=metrics, references=references)), path)


def score_panels(
    curves: Mapping[str, Curve],
    *,
    metrics: Sequence[str] = (),
    references: Mapping[str, Curve] = MappingProxyType({}),
) -> list[CurvePanel]:
    """A panel for each validation score, with a line for each reference and run, by their names.

    Raises ConfigError for scores that no run has.
    """
    known = sorted({name for curve in curves.values() for name in curve.metrics})
    missing = [name for name in metrics if name not in known]
    if missing or not known:
        has = f"they have {', '.join(known)}" if known else "they have no validation yet"
        raise ConfigError(f"no run has the score {', '.join(missing) or 'log_mel'}; {has}")
    panels = []
    for metric in metrics or known:
        lines = [
            _line(scores, name, dashed=name in references)
            for name, curve in {**references, **curves}.items()
            if (scores := curve.scores(metric))
        ]
        better = "higher" if metric in RISING else "lower"
        panels.append(CurvePanel(title=f"{metric} ({better} is better)", lines=lines))
    return panels


def training_panels(curves: Mapping[str, Curve], names: Sequence[str]) -> list[CurvePanel]:
    """A panel for each training value of a name, with a line for each run that has it."""
    panels = []
    for name in names:
        lines = [
            _line(values, run, smooth=True)
            for run, curve in curves.items()
            if (values := curve.training(name))
        ]
        panels.append(CurvePanel(title=name, lines=lines))
    return panels


def balance_panels(curve: Curve) -> list[CurvePanel]:
    """A panel for each kind of value of the sub-discriminators of a run, with a line for each.

    The kinds are those of `vocoder.training.reporting.balance`; a run without discriminators has
    no panel.
    """
    titles = {
        "real": "accuracy on recordings",
        "fake": "accuracy on generated audio",
        "share": "share of the discriminators' loss",
        "gradient": "norm of the gradient",
        "balancer": "share of the balanced losses",
    }
    panels = []
    for kind, title in titles.items():
        names = [name for name in curve.training_names if name.startswith(f"{kind}/")]
        lines = [_line(curve.training(name), name.partition("/")[2], smooth=True) for name in names]
        if lines:
            panels.append(CurvePanel(title=title, lines=lines))
    return panels


def _line(
    values: Mapping[int, float], label: str, *, dashed: bool = False, smooth: bool = False
) -> Line:
    return Line(
        steps=[*values], values=[*values.values()], label=label, dashed=dashed, smooth=smooth
    )
