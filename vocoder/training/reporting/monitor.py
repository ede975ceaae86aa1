"""Reports of a run: progress bar, TensorBoard, and the file `curve.jsonl`."""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch.utils.tensorboard import SummaryWriter

from vocoder.features.mel import MelSpectrogram
from vocoder.training.reporting.plots import spectrogram_figure
from vocoder.training.reporting.validation import ValidationClip

log = logging.getLogger(__name__)
Item = TypeVar("Item")
_STARVED = 0.2  # share of time waiting for data above which the loader is the bottleneck
_SETTLED_SECONDS = 10.0  # the first batch always has to be waited for


class Monitor:
    """Shows the progress of a run and writes its reports: `curve.jsonl` and TensorBoard files."""

    def __init__(self, folder: Path, *, first: int, last: int, console: Console) -> None:
        self.curve = folder / "curve.jsonl"
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first)
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
        self.started, self.waited = time.monotonic(), 0.0
        self._drop_reports_after(first)

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

    def losses(self, step: int, values: Mapping[str, float]) -> None:
        """Report training values, and the share of the time since the last report spent waiting."""
        elapsed = max(time.monotonic() - self.started, 1e-9)
        share = self.waited / elapsed
        self.started, self.waited = time.monotonic(), 0.0
        values = {**values, "data_wait": share}
        for name, value in values.items():
            self.writer.add_scalar(f"train/{name}", value, step)
        self._append({"step": step, "train": values})
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        log.info("step %d  %s", step, text)
        if share > _STARVED and elapsed > _SETTLED_SECONDS:
            log.warning(
                "%.0f %% of the time went into waiting for data; raise trainer.workers", 100 * share
            )

    def validation(
        self,
        step: int,
        scores: Mapping[str, float],
        clips: Sequence[ValidationClip],
        mel: MelSpectrogram,
    ) -> None:
        """Report scores, and the first clips as spectrogram pictures and audio."""
        for name, value in scores.items():
            self.writer.add_scalar(f"valid/{name}", value, step)
        for index, clip in enumerate(clips[:3]):
            figure = spectrogram_figure(clip.real, clip.fake, mel)
            self.writer.add_figure(f"valid/{index}", figure, step)
            for kind, audio in (("real", clip.real), ("fake", clip.fake)):
                self.writer.add_audio(
                    f"valid/{index}/{kind}", audio.clamp(-1, 1)[None], step, mel.spec.sample_rate
                )
        self._append({"step": step, "valid": dict(scores)})
        text = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        log.info("step %d  validation  %s", step, text)
        self.progress.update(self.task, note=text)

    def advance(self, step: int) -> None:
        """Show that `step` steps are done."""
        self.progress.update(self.task, completed=step)

    def close(self) -> None:
        """Finish the reports."""
        self.progress.stop()
        self.writer.close()

    def _append(self, record: Mapping[str, object]) -> None:
        with self.curve.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _drop_reports_after(self, step: int) -> None:
        """Remove from the curve what an interrupted run reported after the resumed state."""
        if self.curve.exists():
            lines = self.curve.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if json.loads(line)["step"] <= step]
            self.curve.write_text("".join(kept), encoding="utf-8")
