"""What commands print: lines, a progress bar on a terminal, errors on stderr."""

import sys
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text

_SHOWN_PROBLEMS = 20
_INTERVAL = 0.1  # seconds between lines on a terminal, where each redraws the bar


def report(problems: Sequence[str]) -> int:
    """Write problems (the first ones of many) to stderr, a line each; returns the exit code."""
    shown = list(problems[:_SHOWN_PROBLEMS])
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    for problem in shown:
        sys.stderr.write(f"error: {printable(problem)}\n")
    return 2 if problems else 0


def printable(text: str) -> str:
    """A text in one line for the terminal: what cannot be shown, as in some names, is escaped."""
    return "".join(sign if sign.isprintable() else _escape(sign) for sign in text)


def _escape(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # stands for a byte that is no UTF-8
        return f"\\x{ord(sign) & 0xFF:02x}"
    return sign.encode("unicode_escape").decode()


def progress_bar(console: Console) -> Progress:
    """A progress bar with count, rate and time left; disabled where `console` is no terminal."""
    return Progress(
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class _Rate(ProgressColumn):
    """Files per second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} files/s")


class Lines:
    """Prints lines of text; as a context, above a progress bar on a terminal, several at a time."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._held: list[str] = []
        self._interval, self._printed = 0.0, 0.0

    def __enter__(self) -> Self:
        self._interval = _INTERVAL
        return self

    def __exit__(self, *_: object) -> None:
        self._interval = 0.0
        if self._held:
            self._flush()

    def print(self, line: str) -> None:
        """Print a line, or keep it for a moment."""
        if not self.console.is_terminal:  # rich would take longer than a short file does
            print(line, flush=True)
            return
        self._held.append(line)
        if time.monotonic() >= self._printed + self._interval:
            self._flush()

    def _flush(self) -> None:
        self.console.print("\n".join(self._held))
        self._held.clear()
        self._printed = time.monotonic()
