"""How a training run is doing, and what to change: `examine_run`."""

import math
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vocoder.doctor.examination import Examination, Finding, Severity
from vocoder.errors import ConfigError
from vocoder.training.reporting.balance import BalanceReport, warnings_for
from vocoder.training.runs.comparison import NEAR, standing
from vocoder.training.runs.folder import RISING, STARVED, Curve, Run, read_curve
from vocoder.training.runs.report.pace import pace
from vocoder.training.runs.report.reading import (
    Reference,
    RunWarning,
    find_reference,
    reported_runs,
)

_OTHER = ("learning_rate", "data_wait", "steps_per_second", "skipped_crops")  # no losses
_WINDOW = 11  # reports that `warnings_for` looks at
_FALLEN, _RISEN = 0.98, 1.1  # of a loss, from the first to the last fifth of the reports
_FEWEST = 10  # reports from which a trend is one
_WORSE, _STALE = 0.05, 0.3  # of the best score; share of the steps since it
_STATES = 3.0  # saved states that must fit on the disk
# Warnings of the log by what they begin with or contain, and what they are.
_WARNINGS = {
    "skipped, nothing is changed": "non-finite steps",
    "rolled back": "rollbacks",
    "another crop takes its place": "unreadable clips",
    "clipped in the reported audio": "clipped samples",
}
_ADVICE = {
    "non-finite steps": "lower optim.*.optimizer.lr, set optim.*.clip, or look at the files named",
    "rollbacks": "lower optim.*.optimizer.lr or set optim.*.clip: steps were lost",
    "unreadable clips": "run vocoder prepare again; the clips are left out until then",
    "clipped samples": "lower the level of the recordings, or train with random gains",
}


def examine_run(folder: str | Path, *, reference: Path | None = None) -> Examination:
    """Say how a run of `vocoder train` is doing and what to change.

    `reference` is the `curve.jsonl` of a recipe to compare with; by default that of the recipe for
    the run's system, where there is one. Raises ConfigError for a folder without a run, or with
    several.
    """
    folder = Path(folder)
    runs = reported_runs([folder])
    if len(runs) > 1:
        named = ", ".join(str(each.run.folder) for each in runs[:5])
        raise ConfigError(f"{folder}: holds {len(runs)} runs ({named}); name one of them")
    run = runs[0].run
    reports = [run.curve.train[step] for step in sorted(run.curve.train)]
    findings = (
        *_state(run),
        *(Finding("folder", note, "note") for note in runs[0].notes),
        *_losses(reports),
        *_balance(run.curve),
        *_warnings(runs[0].warnings),
        *_loader(reports),
        *_validation(run),
        *_against(run, reference),
        *_settings(run),
        *_disk(run),
    )
    return Examination(str(folder), "run", _verdict(run, findings), findings)


def _verdict(run: Run, findings: Sequence[Finding]) -> str:
    steps = f"{run.step:,}" + (f" of {run.max_steps:,}" if run.max_steps else "")
    what = f"{run.system or 'A run'}, {run.state} at step {steps}"
    problems = [finding.name for finding in findings if finding.severity == "problem"]
    if problems:
        return f"{what}: problems with {', '.join(dict.fromkeys(problems))}."
    if not run.curve.train and not run.curve.valid:
        return f"{what}: it has reported nothing yet."
    return f"{what}: healthy as far as its reports show."


def _state(run: Run) -> Iterator[Finding]:
    words = pace(run)
    advice = None
    if run.state == "stopped" and run.sessions:
        command = run.sessions[-1].get("command", "")
        advice = f"the same command resumes it: {command}" if command else None
    yield Finding("state", words, "note" if advice else "ok", advice)


def _losses(reports: Sequence[Mapping[str, float]]) -> Iterator[Finding]:
    names = dict.fromkeys(name for report in reports for name in report if _is_loss(name))
    for name in names:
        values = [report[name] for report in reports if name in report]
        finite = [value for value in values if math.isfinite(value)]
        if len(finite) < len(values):
            count = len(values) - len(finite)
            words = f"{name} is not finite in {count} of {len(values)} reports"
            yield Finding("losses", words, "problem", _ADVICE["non-finite steps"])
        if name in ("adversarial", "discriminators", "feature_matching") or len(finite) < _FEWEST:
            continue  # they rise and fall as generator and discriminators take turns
        fifth = max(1, len(finite) // 5)
        before, after = (statistics.median(x) for x in (finite[:fifth], finite[-fifth:]))
        words = f"{name} from {before:.4g} to {after:.4g}"
        if before > 0.0 and after > _RISEN * before:
            advice = "lower the learning rate, or look for a change of settings or data"
            yield Finding("losses", f"{words}: it rises", "problem", advice)
        elif before > 0.0 and after > _FALLEN * before:
            yield Finding("losses", f"{words}: it does not fall", "note")
        else:
            yield Finding("losses", words)


def _is_loss(name: str) -> bool:
    return name not in _OTHER and "/" not in name and not name.startswith("gradient_")


def _balance(curve: Curve) -> Iterator[Finding]:
    """What the balance monitor of the training says at any of the reports, the newest of a kind."""
    steps = sorted(curve.train)
    reports = [_balance_report(curve.train[step]) for step in steps]
    newest: dict[str, tuple[int, str]] = {}
    for end in range(_WINDOW, len(reports) + 1):
        for kind, words in warnings_for(reports[end - _WINDOW : end]).items():
            newest[kind] = (steps[end - 1], words)
    for kind, (step, words) in newest.items():
        now = len(steps) - 1 - steps.index(step) < _WINDOW
        what, _, advice = words.partition("; ")
        severity: Severity = "problem" if now and not kind.startswith("spike") else "note"
        yield Finding("balance", f"at step {step:,}: {what}", severity, advice or None)
    if any(report.real for report in reports) and not newest:
        right = [*reports[-1].real.values(), *reports[-1].fake.values()]
        if right:
            words = f"discriminators tell {100 * statistics.mean(right):.0f} % right (50: guessing)"
            yield Finding("balance", words)


def _balance_report(values: Mapping[str, float]) -> BalanceReport:
    kinds: dict[str, dict[str, float]] = {"real": {}, "fake": {}, "share": {}}
    losses = {}
    for name, value in values.items():
        kind, _, member = name.partition("/")
        if member and kind in kinds:
            kinds[kind][member] = value
        elif not member and name not in _OTHER:
            losses[name] = value
    return BalanceReport(losses, kinds["real"], kinds["fake"], kinds["share"])


def _warnings(warnings: Sequence[RunWarning]) -> Iterator[Finding]:
    """What the log has warned of, by kind."""
    found: dict[str, list[RunWarning]] = {}
    for each in warnings:
        kind = next((name for mark, name in _WARNINGS.items() if mark in each.words), None)
        if kind is not None:
            found.setdefault(kind, []).append(each)
    for kind, entries in found.items():
        last = entries[-1]
        words = f"{len(entries)}, the last at step {last.step:,}: {last.words[:300]}"
        severity: Severity = "problem" if kind in ("non-finite steps", "rollbacks") else "note"
        yield Finding(kind, words, severity, _ADVICE[kind])


def _loader(reports: Sequence[Mapping[str, float]]) -> Iterator[Finding]:
    # The first report has the start of the workers in it.
    shares = [report["data_wait"] for report in reports[1:] if "data_wait" in report][-10:]
    if shares:
        share = statistics.median(shares)
        words = f"{100 * share:.0f} % of the time goes into waiting for data"
        if share > STARVED:
            advice = "raise trainer.workers; vocoder bench data says to how many"
            yield Finding("loader", words, "problem", advice)
        else:
            yield Finding("loader", words)


def _validation(run: Run) -> Iterator[Finding]:
    metric, curve = run.metric, run.curve
    scores = curve.scores(metric)
    best = curve.best(metric)
    if best is None:
        known = f"; there are {', '.join(curve.metrics)}" if curve.metrics else ""
        yield Finding("validation", f"none by {metric} yet{known}", "note")
        return
    at, value = best
    last_step = max(scores)
    last = scores[last_step]
    words = f"{metric} {value:.4g} at best, at step {at:,}; {last:.4g} at step {last_step:,}"
    sign = -1.0 if metric in RISING else 1.0
    worse = sign * (last - value) / max(abs(value), 1e-12)
    stale = (last_step - at) > _STALE * max(last_step, 1)
    if worse <= _WORSE or not stale:
        yield Finding("validation", words)
        return
    advice = "take best/, and stop here or lower the learning rate"
    if _still_falls(curve, at):
        words += "; the training losses still fall: it over-fits"
        advice = "take best/; more data, augmentation, or a smaller network go further"
    yield Finding("validation", words, "problem", advice)


def _still_falls(curve: Curve, since: int) -> bool:
    """Whether the first loss of the generator has fallen since a step."""
    name = next(filter(_is_loss, curve.training_names), None)
    values = [*curve.training(name).items()] if name else []
    before = [value for step, value in values if step <= since][-5:]
    after = [value for _, value in values][-5:]
    return bool(before and after) and statistics.median(after) < statistics.median(before)


def _against(run: Run, path: Path | None) -> Iterator[Finding]:
    found = Reference(str(path), path, read_curve(path)) if path else find_reference(run)
    if found is None or (path is None and not run.curve.scores(run.metric)):
        return
    try:
        where = standing(run.curve, found.curve, run.metric)
    except ConfigError as error:
        raise ConfigError(f"{run.folder} against {found.path}: {error}") from error
    behind = where.worse > NEAR
    advice = "vocoder runs compare and vocoder report show what differs" if behind else None
    yield Finding("reference", f"{where.words} ({found.name})", "note" if behind else "ok", advice)


def _settings(run: Run) -> Iterator[Finding]:
    for session in run.sessions[1:]:
        changed = session.get("changed") or {}
        if changed:
            listed = ", ".join(f"{name} {old} → {new}" for name, (old, new) in changed.items())
            where = f"changed on resuming at step {session.get('first_step', 0):,}: {listed}"
            yield Finding("settings", where, "note", "scores before and after are of two set-ups")
    versions = [session.get("versions", {}) for session in run.sessions]
    mixed = sorted({k for v in versions for k in v if v[k] != versions[0].get(k)})
    if mixed:
        listed = ", ".join(f"{n} {versions[0].get(n)} → {versions[-1].get(n)}" for n in mixed)
        yield Finding("versions", f"differ between sessions: {listed}", "note")


def _disk(run: Run) -> Iterator[Finding]:
    states = sorted(run.folder.glob("states/step-*.pt"), key=lambda path: path.stat().st_mtime)
    free = shutil.disk_usage(run.folder).free
    if not states:
        return
    size = states[-1].stat().st_size
    words = f"{free / 1e9:.1f} GB free; a training state takes {size / 1e6:.0f} MB"
    if run.state != "finished" and free < _STATES * size:
        advice = "free space, lower trainer.keep, or move the run: a full disk stops it"
        yield Finding("disk", words, "problem", advice)
    else:
        yield Finding("disk", words)
