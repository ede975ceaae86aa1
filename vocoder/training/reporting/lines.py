"""Reports as files of one JSON object per line, each with its step."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from vocoder.io.atomic import replacing_file

log = logging.getLogger(__name__)


def append(path: Path, record: Mapping[str, object]) -> None:
    """Add a line to a file of reports."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def drop_after(path: Path, step: int) -> None:
    """Remove from a file what an interrupted run reported after the resumed state.

    Lines that are no report are removed, too: a kill or a full disk cuts the last one short.
    """
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    steps = [_step(line) for line in lines]
    torn = steps.count(None)
    if torn:
        log.warning("%s: %d lines dropped that were cut short or damaged", path, torn)
    pairs = zip(lines, steps, strict=True)
    kept = [line for line, own in pairs if own is not None and own <= step]
    with replacing_file(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _step(line: str) -> int | None:
    """The step of a line; None for what is no report."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if isinstance(step, int) else None
