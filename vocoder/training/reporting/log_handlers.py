"""Handlers of the log of a run: above the progress bar, and to a file on a disk that may fill."""

import logging
import sys

from rich.console import Console
from rich.logging import RichHandler


def set_up(console: Console, *, first: bool = True) -> None:
    """Let lines on a terminal scroll above the progress bar, and a full disk cost one line.

    Processes other than the `first` of a run write warnings alone, and to no file.
    """
    root = logging.getLogger()
    if not first:
        root.setLevel(logging.WARNING)
    for handler in list(root.handlers):
        if isinstance(handler, logging.FileHandler) and not first:
            root.removeHandler(handler)
            handler.close()
        elif type(handler) is logging.StreamHandler and console.is_terminal:
            root.removeHandler(handler)
            root.addHandler(RichHandler(console=console, show_path=False, show_level=False))
        elif isinstance(handler, logging.FileHandler):
            _say_once(handler)


def _say_once(handler: logging.FileHandler) -> None:
    """Say in one line when the file of a handler cannot be written, and no more after that.

    The logging module would print a traceback for every line of the log.
    """
    by_default = handler.handleError
    said = False

    def handle(record: logging.LogRecord) -> None:
        nonlocal said
        error = sys.exception()
        if not isinstance(error, OSError):
            by_default(record)
        elif not said:
            said = True
            print(f"{handler.baseFilename}: {error.strerror}; no more is logged", file=sys.stderr)

    handler.handleError = handle  # type: ignore[method-assign]
