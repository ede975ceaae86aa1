"""Runs beside each other and beside a reference curve: settings, scores at equal steps, words."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vocoder.errors import ConfigError
from vocoder.training.runs.folder import RISING, Curve, Run
from vocoder.training.runs.settings import differences

NEAR = 0.1  # relative difference to the reference within which a run is on course


def summary(run: Run) -> dict[str, Any]:
    """What `vocoder runs` lists of a run, in plain values; None for what is unknown."""
    best = run.curve.best(run.metric)
    scored = max(run.curve.valid, default=None)
    return {
        "run": str(run.folder),
        "system": run.system or None,
        "step": run.step,
        "max_steps": run.max_steps,
        "state": run.state,
        "metric": run.metric,
        "best": {"step": best[0], run.metric: best[1]} if best else None,
        "last": {"step": scored, **run.curve.valid[scored]} if scored is not None else None,
        "steps_per_second": run.speed,
        "started": run.sessions[0]["started"] if run.sessions else None,
        "sessions": len(run.sessions) or None,
        "damaged_lines": run.curve.damaged,
    }


def comparison(runs: Sequence[Run]) -> dict[str, Any]:
    """Settings in which runs differ, and their scores: at all common steps, best and final.

    `trainer.output` always differs and is left out. Raises ConfigError for fewer than two runs.
    """
    if len(runs) < 2:
        raise ConfigError("compare needs two runs or more")
    known = [run for run in runs if run.settings]
    steps = set.intersection(*(set(run.curve.valid) for run in runs))
    names = sorted({name for run in runs for name in run.curve.metrics})
    return {
        "runs": [summary(run) for run in runs],
        "settings_unknown": [str(run.folder) for run in runs if not run.settings],
        "settings": differences([run.settings for run in known]),
        "scores": {
            name: {
                step: [run.curve.valid[step].get(name) for run in runs] for step in sorted(steps)
            }
            for name in names
        },
        "best": {name: [run.curve.best(name) for run in runs] for name in names},
    }


@dataclass(frozen=True)
class Standing:
    """Where a run stands against a reference curve, at the newest step that it has validated."""

    metric: str
    step: int
    value: float
    reference_step: int
    """The step of the reference: that of the run, or the nearest that the reference has."""
    reference: float
    worse: float
    """Relative difference to the reference, positive where the run is worse."""
    as_at: int | None
    """First step at which the reference was as good; None if it never was."""

    @property
    def words(self) -> str:
        """The standing in a sentence."""
        share = f"{abs(self.worse):.0%}".replace("%", " %")
        side = "worse" if self.worse > 0 else "better"
        if abs(self.worse) <= NEAR:
            judged = f"within {NEAR * 100:.0f} %, on course"
        elif self.worse < 0:
            judged = f"{share} {side}, ahead"
        else:
            when = f"it was there at step {self.as_at:,}" if self.as_at is not None else ""
            judged = f"{share} {side}, behind" + (f" ({when})" if when else "")
        where = ""
        if self.reference_step < self.step:
            where = f" at its end, step {self.reference_step:,}"
        elif self.reference_step > self.step:
            where = f" at its first, step {self.reference_step:,}"
        value, reference = f"{self.value:.4g}", f"{self.reference:.4g}"
        return (
            f"{self.metric} {value} at step {self.step:,}; reference {reference}{where}: {judged}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields, and the sentence as "words"."""
        return {**asdict(self), "words": self.words}


def standing(curve: Curve, reference: Curve, metric: str) -> Standing:
    """Compare the newest validation of a run with the reference at the same step.

    Between two validations of the reference its score is interpolated; outside of them the nearest
    counts. Raises ConfigError if one of them has no such score.
    """
    for name, each in (("run", curve), ("reference", reference)):
        if not each.scores(metric):
            raise ConfigError(f"the {name} has no {metric}{_others(each)}")
    step, value = [*curve.scores(metric).items()][-1]
    scores = reference.scores(metric)
    nearest, expected = _interpolated(scores, step)
    sign = -1.0 if metric in RISING else 1.0
    worse = sign * (value - expected) / max(abs(expected), 1e-12)
    good = (at for at, score in scores.items() if sign * score <= sign * value)
    return Standing(metric, step, value, nearest, expected, worse, next(good, None))


def _others(curve: Curve) -> str:
    return f"; it has {', '.join(curve.metrics)}" if curve.metrics else ": it has no validation yet"


def _interpolated(scores: dict[int, float], step: int) -> tuple[int, float]:
    """The step that counts for `step`, and the score there."""
    steps = list(scores)
    after = bisect_right(steps, step)
    if after == 0:
        return steps[0], scores[steps[0]]
    if after == len(steps):
        return steps[-1], scores[steps[-1]]
    left, right = steps[after - 1], steps[after]
    share = (step - left) / (right - left)
    return step, scores[left] + share * (scores[right] - scores[left])
