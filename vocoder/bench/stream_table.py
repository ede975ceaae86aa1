"""Results of `vocoder bench stream` as headings and cells of a table."""

from vocoder.bench.pace import Pace
from vocoder.bench.stream import Flat, Machine, StreamBenchResult, StreamBenchSettings
from vocoder.bench.table import milliseconds, weights, where


def conditions(machine: Machine, settings: StreamBenchSettings) -> str:
    """Caption of a table of streams: machine, repeats, length of the mel, units."""
    return (
        f"{where(machine)}; median of {settings.repeats}, "
        f"mel of {settings.seconds:g} s; RTF: seconds of compute for a second of audio"
    )


def facts(result: StreamBenchResult) -> dict[str, str]:
    """Headings → cells of one model; the headings depend on the settings alone."""
    late = result.latency
    found = {
        "weights": weights(result.parameters),
        "look-ahead": f"{late.lookahead} frames, {milliseconds(late.lookahead_seconds)}",
        "latency": f"{late.samples} samples, {milliseconds(late.seconds)}",
        "first audio at frame": str(late.first_frame),
        "first audio, frame by frame": (
            f"{milliseconds(late.first_push)} (cold {milliseconds(late.first_push_cold)})"
        ),
        "first audio, look-ahead at once": milliseconds(late.first_push_at_once),
        "one call": f"RTF {result.overhead[0].one_shot:.3g}",
    }
    for cost in result.overhead:
        found[f"pieces of {cost.chunk}"] = (
            f"{cost.ratio:.2f} × ({cost.lowest:.2f}–{cost.highest:.2f}), RTF {cost.stream:.3g}"
        )
    if result.flat:
        found[f"{result.flat.minutes:g} min, pieces of {result.flat.chunk}"] = _flat(result.flat)
    if result.pace:
        found[f"{result.pace.minutes:g} min at pace, pieces of {result.pace.chunk}"] = _pace(
            result.pace
        )
    return found


def _flat(flat: Flat) -> str:
    times = f"push {milliseconds(flat.push_early)} → {milliseconds(flat.push_late)}"
    if flat.resident_early is None or flat.resident_late is None:
        return times
    memory = f"{flat.resident_early / 1e6:.0f} → {flat.resident_late / 1e6:.0f} MB"
    return f"{times}, memory {memory}"


def _pace(pace: Pace) -> str:
    return (
        f"first audio {milliseconds(pace.first_audio)}, push 99 % {milliseconds(pace.push_p99)}, "
        f"worst {milliseconds(pace.push_worst)}, head start {milliseconds(pace.head_start)}, "
        f"{pace.under_runs} under-runs"
    )
