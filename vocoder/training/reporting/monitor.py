"""Reports of a run: progress bar, curve, warnings, samples, loggers."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor

from vocoder.features.mel import MelSpectrogram
from vocoder.plots.resynthesis import resynthesis_figure
from vocoder.training.reporting.lines import append, drop_after
from vocoder.training.reporting.loggers.base import Logger
from vocoder.training.reporting.samples import Samples
from vocoder.training.reporting.validation import ValidationClip
from vocoder.training.runs.folder import CURVE_NAME, STARVED, WARNINGS_NAME

log = logging.getLogger(__name__)
Item = TypeVar("Item")
_SETTLED_SECONDS = 10.0  # the first batch always has to be waited for


class Monitor:
    """Shows the progress of a run and writes its reports: to files in its folder and to loggers.

    `curve.jsonl` gets losses and scores, `warnings.jsonl` what the log warns of. A context manager,
    which finishes the reports and closes the loggers. Raises OSError if they cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        loggers: Sequence[Logger] = (),
        samples: Samples | None = None,
        *,
        first: int,
        last: int,
        console: Console,
    ) -> None:
        self.curve, self.loggers, self.samples = folder / CURVE_NAME, loggers, samples
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("training", total=last, completed=first, note="")
        self.started, self.waited, self.reported = time.monotonic(), 0.0, first
        self.step = first
        for path in (self.curve, folder / WARNINGS_NAME):
            drop_after(path, first)
        self._warnings = _WarningsFile(folder / WARNINGS_NAME, self)

    def __enter__(self) -> Self:
        """Start the progress bar, and to collect warnings."""
        self.progress.start()
        logging.getLogger().addHandler(self._warnings)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Finish the reports; an error of that does not replace the one that left the block."""
        self.progress.stop()
        logging.getLogger().removeHandler(self._warnings)
        with suppress(OSError) if kind else nullcontext(), ExitStack() as stack:
            for logger in self.loggers:
                stack.callback(logger.close)

    def timed(self, items: Iterable[Item]) -> Iterator[Item]:
        """Pass `items` on, counting the time spent waiting for them."""
        iterator = iter(items)
        while True:
            before = time.monotonic()
            item = next(iterator, None)
            self.waited += time.monotonic() - before
            if item is None:
                return
            yield item

    def losses(
        self,
        step: int,
        values: Mapping[str, float],
        details: Mapping[str, float] = MappingProxyType({}),
        warnings: Sequence[str] = (),
    ) -> None:
        """Report training values, and the share of the time since the last report spent waiting.

        `details` go everywhere but to the log, which gets the `warnings`.
        """
        elapsed = max(time.monotonic() - self.started, 1e-9)
        share = self.waited / elapsed
        values = {
            **values,
            "data_wait": share,
            "steps_per_second": (step - self.reported) / elapsed,
        }
        self.started, self.waited, self.reported = time.monotonic(), 0.0, step
        self._log_scalars("train", step, {**values, **details})
        append(self.curve, {"step": step, "train": {**values, **details}})
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        log.info("step %d  %s", step, text)
        for warning in warnings:
            log.warning("step %d: %s", step, warning)
        if share > STARVED and elapsed > _SETTLED_SECONDS:
            log.warning(
                "%.0f %% of the time went into waiting for data; raise trainer.workers, "
                "`vocoder bench data` says to how many",
                100 * share,
            )

    def validation(
        self,
        step: int,
        scores: Mapping[str, float],
        clips: Sequence[ValidationClip],
        mel: MelSpectrogram,
    ) -> None:
        """Report scores, and the first clips as spectrogram pictures and audio."""
        self._log_scalars("valid", step, scores)
        clips = [_finite(step, clip) for clip in clips]
        if self.samples is not None:
            self.samples.write(step, clips, mel.spec.sample_rate)
        clipped = []
        for index, clip in enumerate(clips[:3]):
            for logger in self.loggers:
                # A figure each: some loggers close what they have drawn.
                figure = resynthesis_figure(clip.real, clip.fake, mel)
                logger.figure(step, f"valid/{index}", figure)
            for kind, audio in (("real", clip.real), ("fake", clip.fake)):
                clipped += _clipped(f"{clip.name} ({kind})", audio)
                for logger in self.loggers:
                    name, rate = f"valid/{index}/{kind}", mel.spec.sample_rate
                    logger.audio(step, name, audio.clamp(-1, 1), rate)
        append(self.curve, {"step": step, "valid": dict(scores)})
        text = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        log.info("step %d  validation  %s", step, text)
        if clipped:
            log.warning("step %d  clipped in the reported audio: %s", step, "; ".join(clipped))
        self.progress.update(self.task, note=text)

    def advance(self, step: int) -> None:
        """Show that `step` steps are done."""
        self.step = step
        self.progress.update(self.task, completed=step)

    def _log_scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        for logger in self.loggers:
            logger.scalars(step, {f"{group}/{name}": value for name, value in values.items()})


class _WarningsFile(logging.Handler):
    """Appends what the log warns of to a file of reports, with the step of the monitor."""

    def __init__(self, path: Path, monitor: Monitor) -> None:
        super().__init__(logging.WARNING)
        self.path, self.monitor = path, monitor

    def emit(self, record: logging.LogRecord) -> None:
        """Write a warning; where that fails, so does the curve, which ends the run."""
        with suppress(OSError):
            append(self.path, {"step": self.monitor.step, "warning": record.getMessage()})


def _finite(step: int, clip: ValidationClip) -> ValidationClip:
    """The clip with silence instead of NaN and infinite samples, of which the log warns."""
    bad = ~clip.fake.isfinite()
    if not bool(bad.any()):
        return clip
    log.warning(
        "step %d: %d of %d generated samples of %s are NaN or infinite, shown as silence",
        *(step, int(bad.sum()), bad.numel(), clip.name),
    )
    return replace(clip, fake=clip.fake.masked_fill(bad, 0.0))


def _clipped(name: str, audio: Tensor) -> list[str]:
    """A list with a phrase on the samples of `audio` beyond full scale; empty if there are none."""
    count = int((audio.abs() > 1.0).sum())
    return [f"{count} of {audio.numel()} samples of {name}"] if count else []
