"""Table of all metrics, for the screen."""

import re

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from vocoder.evaluation.metrics.catalogue import METRICS, SETS


def overview() -> Group:
    """Table of all metrics: name, what is measured, unit, which is better, what has to be given."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("what", overflow="fold", min_width=32)
    for heading in ("unit", "better", "needs"):
        table.add_column(heading, overflow="fold")
    for name, metric in METRICS.items():
        what = metric.definition.splitlines()[0]
        what = re.sub(rf"[;,]? {metric.better} is better\.$", "", what)
        table.add_row(name, Text(what), metric.unit, metric.better, Text(metric.needs))
    sets = [Text(f"{name}: {', '.join(names)}") for name, names in SETS.items()]
    last = Text("all: whatever vocoder[eval], --cutoff and --weights suffice for")
    return Group(table, Text(), *sets, last)
