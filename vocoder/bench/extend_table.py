"""Results of `vocoder bench extend` as headings and cells of a table."""

from vocoder.bench.extend import ExtendBenchResult, ExtendBenchSettings, Pieces
from vocoder.bench.stream import Machine
from vocoder.bench.table import milliseconds, weights, where

_NONE = "–"


def conditions(machine: Machine, settings: ExtendBenchSettings) -> str:
    """Caption of a table of bandwidth extenders: machine, repeats, length of the noise, units."""
    return (
        f"{where(machine)}; median of {settings.repeats}, noise of {settings.seconds:g} s; "
        "pieces in whole hops: time of a plain call divided by theirs (lowest–highest), "
        "push: median and 99th percentile, relative to the length of a piece"
    )


def facts(result: ExtendBenchResult, settings: ExtendBenchSettings) -> dict[str, str]:
    """Headings → cells of one bandwidth extender; the headings depend on the settings alone."""
    rate, live = result.sample_rate, result.live
    found = {
        "weights": weights(result.parameters),
        "sample rate": f"{rate} Hz",
        "streams": "in windows" if result.refused else "exactly",
        "look-ahead": _samples(result.lookahead, rate),
        "latency": _samples(result.latency, rate),
        "plain call": _speed(result.plain),
    }
    costs = dict(zip(settings.pieces, result.planned, strict=False))
    for size in settings.pieces:
        found[f"plan, {size:g} ms"] = _pieces(costs[size]) if size in costs else _NONE
    heading = f"all of a stream, {settings.pieces[0]:g} ms"
    found[heading] = f"{_pieces(live)}, from {live.sample_rate} Hz" if live else _NONE
    return found


def _pieces(cost: Pieces) -> str:
    return (
        f"{cost.ratio:.2f} × ({cost.lowest:.2f}–{cost.highest:.2f}), {_speed(cost.compute)}, "
        f"push {100 * cost.push_median:.1f} %, {100 * cost.push_p99:.1f} %"
    )


def _samples(count: int | None, rate: int) -> str:
    return _NONE if count is None else f"{count} samples, {milliseconds(count / rate)}"


def _speed(compute: float) -> str:
    return f"{1 / compute:.3g} × real time"
