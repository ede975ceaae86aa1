"""How far a run is, how fast, and how long the rest takes, in words."""

import statistics

from vocoder.training.runs.folder import Run

_REPORTS = 10  # the newest, whose median is the speed


def steps_per_second(run: Run) -> float | None:
    """Median of the newest reports, which validations and saves in between do not shift."""
    speeds = [*run.curve.training("steps_per_second").values()][-_REPORTS:]
    return statistics.median(speeds) if speeds else None


def pace(run: Run) -> str:
    """State, steps, speed and remaining time of a run, in a sentence."""
    steps = f"{run.step:,}" + (f" of {run.max_steps:,}" if run.max_steps is not None else "")
    words = f"{run.state}, {steps} steps"
    speed = steps_per_second(run)
    if speed is None or speed <= 0.0:
        return words
    words += f" at {speed:.3g} a second"
    if run.max_steps is None or run.step >= run.max_steps:
        return words
    return f"{words}; the rest takes about {duration((run.max_steps - run.step) / speed)}"


def duration(seconds: float) -> str:
    """A duration in its two largest units.

    >>> duration(59.0), duration(3600.0), duration(200000.0)
    ('59 s', '1 h 0 min', '2 d 7 h')
    """
    minutes, hours, days = seconds / 60.0, seconds / 3600.0, seconds / 86400.0
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    if hours < 1.0:
        return f"{minutes:.0f} min"
    if days < 2.0:
        return f"{int(hours)} h {int(minutes % 60)} min"
    return f"{int(days)} d {int(hours % 24)} h"
