"""Reports of a run: progress bar, loggers, and the file `curve.jsonl`."""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
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
from vocoder.io.atomic import replacing_file
from vocoder.training.reporting.loggers.base import Logger
from vocoder.training.reporting.plots import spectrogram_figure
from vocoder.training.reporting.validation import ValidationClip

log = logging.getLogger(__name__)
Item = TypeVar("Item")
_STARVED = 0.2  # share of time waiting for data above which the loader is the bottleneck
_SETTLED_SECONDS = 10.0  # the first batch always has to be waited for


class Monitor:
    """Shows the progress of a run and writes its reports: to `curve.jsonl` and to loggers.

    A context manager, which finishes the reports and closes the loggers. Raises OSError if they
    cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first: int,
        last: int,
        console: Console,
        loggers: Sequence[Logger] = (),
    ) -> None:
        self.curve, self.loggers = folder / "curve.jsonl", loggers
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
        self._drop_reports_after(first)

    def __enter__(self) -> Self:
        """Start the progress bar."""
        self.progress.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Finish the reports; an error of that does not replace the one that left the block."""
        self.progress.stop()
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
        self._append({"step": step, "train": {**values, **details}})
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        log.info("step %d  %s", step, text)
        for warning in warnings:
            log.warning("step %d: %s", step, warning)
        if share > _STARVED and elapsed > _SETTLED_SECONDS:
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
        clipped = []
        for index, clip in enumerate(clips[:3]):
            for logger in self.loggers:
                # A figure each: some loggers close what they have drawn.
                figure = spectrogram_figure(clip.real, clip.fake, mel)
                logger.figure(step, f"valid/{index}", figure)
            for kind, audio in (("real", clip.real), ("fake", clip.fake)):
                clipped += _clipped(f"{clip.name} ({kind})", audio)
                for logger in self.loggers:
                    name, rate = f"valid/{index}/{kind}", mel.spec.sample_rate
                    logger.audio(step, name, audio.clamp(-1, 1), rate)
        self._append({"step": step, "valid": dict(scores)})
        text = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        log.info("step %d  validation  %s", step, text)
        if clipped:
            log.warning("step %d  clipped in the reported audio: %s", step, "; ".join(clipped))
        self.progress.update(self.task, note=text)

    def advance(self, step: int) -> None:
        """Show that `step` steps are done."""
        self.progress.update(self.task, completed=step)

    def _log_scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        for logger in self.loggers:
            logger.scalars(step, {f"{group}/{name}": value for name, value in values.items()})

    def _append(self, record: Mapping[str, object]) -> None:
        with self.curve.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _drop_reports_after(self, step: int) -> None:
        """Remove from the curve what an interrupted run reported after the resumed state.

        Lines that are no report are removed, too: a kill or a full disk cuts the last one short.
        """
        if not self.curve.exists():
            return
        lines = self.curve.read_text(encoding="utf-8", errors="replace").splitlines()
        steps = [_step(line) for line in lines]
        torn = steps.count(None)
        if torn:
            log.warning("%s: %d lines dropped that were cut short or damaged", self.curve, torn)
        pairs = zip(lines, steps, strict=True)
        kept = [line for line, own in pairs if own is not None and own <= step]
        with replacing_file(self.curve) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _step(line: str) -> int | None:
    """The step of a line of the curve; None for what is no report."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if isinstance(step, int) else None


def _clipped(name: str, audio: Tensor) -> list[str]:
    """A list with a phrase on the samples of `audio` beyond full scale; empty if there are none."""
    count = int((audio.abs() > 1.0).sum())
    return [f"{count} of {audio.numel()} samples of {name}"] if count else []
