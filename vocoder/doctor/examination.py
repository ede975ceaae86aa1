"""What the doctor found in one thing: a verdict, and findings with their evidence and advice."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Severity = Literal["ok", "note", "problem"]

_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One property of what was examined: what it is, whether that is right, what to do."""

    name: str
    """What was looked at, in a word or two: "logarithm", "clipping"."""
    value: str
    """What it is, with the evidence and, where it is inferred, how sure that is."""
    severity: Severity = "ok"
    """"ok", "note" for what is good to know, "problem" for what makes the output worse."""
    advice: str | None = None
    """What to do about it; a command where there is one."""


@dataclass(frozen=True)
class Examination:
    """What the doctor found in one file, model or run, or in a pair of files."""

    subject: str
    """The path or name, as it was given."""
    kind: str
    """What it is: "mel", "audio", "model", "run" or "pair"."""
    verdict: str
    """One or two sentences: what it is, and whether it is right."""
    findings: tuple[Finding, ...] = ()

    @property
    def severity(self) -> Severity:
        """The gravest severity among the findings."""
        found = {finding.severity for finding in self.findings}
        return "problem" if "problem" in found else "note" if "note" in found else "ok"

    def to_dict(self) -> dict[str, Any]:
        """Return the examination as plain values, for JSON."""
        return {**dataclasses.asdict(self), "severity": self.severity}


def printed(examination: Examination) -> RenderableType:
    """The examination for a terminal: the verdict, a table of the findings, and the advice."""
    heading = Text.assemble((examination.subject, "bold"), ": ", examination.verdict)
    return Group(heading, _table(examination.findings)) if examination.findings else heading


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("finding", no_wrap=True)
    table.add_column("")
    table.add_column("value and what to do", overflow="fold", ratio=1)
    for finding in findings:
        mark = Text(finding.severity, style=_STYLES[finding.severity])
        value = Text(finding.value)
        if finding.advice:
            value.append(f"\n→ {finding.advice}", style="bold")
        table.add_row(Text(finding.name), mark, value)
    return table
