"""Table of a calibration: what each detector finds, and how often it is wrong."""

from collections.abc import Mapping, Sequence

from vocoder.evaluation.artefacts.calibration.measure import HARMLESS, FalseAlarms, Sensitivity
from vocoder.evaluation.artefacts.catalogue import DETECTORS


def rows(measured: Sequence[Sensitivity], alarms: FalseAlarms) -> list[tuple[str, dict[str, str]]]:
    """A row for each planted artefact: name of the detector, heading → cell."""
    return [(each.planted.detector, _cells(each, alarms)) for each in measured]


def caption(measured: Sequence[Sensitivity], alarms: FalseAlarms) -> str:
    """What the table says, in words."""
    places = [max(each.places.values(), default=0) for each in measured]
    return (
        f"Found: weakest level from which on 95 % are found, in the {min(places)} to {max(places)} "
        "recordings that have a place for the artefact. False alarms: recordings in which the "
        f"detector fires, of {alarms.recordings} alone, and of {alarms.recordings} × "
        f"{len(HARMLESS)} against the recording ({', '.join(HARMLESS)})."
    )


def _cells(each: Sensitivity, alarms: FalseAlarms) -> dict[str, str]:
    key = each.planted.detector
    wrong = {condition: len(names[key]) for condition, names in alarms.alarms.items()}
    alone = wrong.pop("alone", 0)
    compared = not DETECTORS[key].needs_reference
    return {
        "planted": each.planted.what,
        "found": _level(each, each.found),
        "found alone": _level(each, each.found_alone) if each.found_alone else "–",
        "false alarms": f"{sum(wrong.values())}",
        "alone": f"{alone}" if compared else "–",
    }


def _level(each: Sensitivity, shares: Mapping[float, float]) -> str:
    """Weakest level that is found, or the share that is found of the strongest."""
    level = each.threshold(shares)
    if level is not None:
        return f"{level:g}"
    strongest = each.planted.levels[-1]
    return (
        f"{100 * shares[strongest]:.0f} % at {strongest:g}" if strongest in shares else "no place"
    )
