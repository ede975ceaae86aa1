"""Which part is at fault: the conclusion from what was measured of a mel and a recording."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vocoder.doctor.examination import Finding, Severity
from vocoder.doctor.pairs.differences import Difference, Kind
from vocoder.doctor.pairs.settings import OtherSettings
from vocoder.doctor.pairs.synthesis import LIMITS, PitchShift, Scored
from vocoder.doctor.pairs.timing import Timing
from vocoder.evaluation.artefacts.catalogue import DETECTORS
from vocoder.evaluation.metrics.catalogue import METRICS
from vocoder.features.mel_check import Diagnosis

Guilty = Literal["neither", "the acoustic model", "the vocoder", "both", "the pair"]
_UNRELATED = 0.55  # resemblance; see `Timing`
_STRAYS = 0.5  # nepers by which a vocoder may stray from a mel, beyond what it does in copying

_OF_ACOUSTIC_MODEL: Mapping[Kind, str] = {
    "level": "train the acoustic model on recordings of the vocoder's level, or scale one of both",
    "high band": "compare f_max, and the sample rate of the acoustic model's training data",
    "low band": "compare f_min, and high-pass filters of the acoustic model's training data",
    "spectral balance": "check the statistics (mean and scale of the bands) that undo the "
    "normalisation, and the filterbank",
    "contrast": "check the logarithm and the scale that undo the normalisation",
    "over-smoothed": "train the acoustic model longer or with a post-net, diffusion or adversarial "
    "loss; or fine-tune the vocoder on its mels (the manual's page on fine-tuning)",
    "noise": "train the acoustic model longer, or sample with more steps or a lower temperature",
    "pauses": "check that padding and pauses have the value of silence, not 0",
    "floor": "lower the log floor or the clipping of the acoustic model's targets",
    "ceiling": "remove the clipping of the acoustic model's values at the top",
    "dropouts": "look for masks, padding or failed attention at these frames",
    "repeated frames": "predict every frame: reduction factor and hop length must agree",
    "timing": "shift one of both, or make training pairs with the same padding and trimming",
    "tempo": "compare hop lengths and sample rates; a duration model may also be slow or fast",
    "lost frames": "look for skipped or repeated phonemes (alignment), or chunks that are joined",
}
_OF_PITCH = "check the speaker, the pitch statistics and the sample rate of its training data"
_OF_ANOTHER_PITCH = {"level", "spectral balance", "high band", "low band", "over-smoothed"}
# Artefacts that a sound vocoder's copies do not have, and from how many on they count. What lies
# above the mel's top, and the louder peaks of another phase, are no faults; nor are mirror images
# where the up-sampling rates are not known.
_ARTEFACTS = {
    "tones": 1,
    "hop_lines": 1,
    "clicks": 2,
    "noise_floor": 1,
    "pitch_steps": 1,
    "tremor": 1,
}
_OF_VOCODER = "train the vocoder further, on this voice and rate, or take another (vocoder info)"


class PairDiagnosis(NamedTuple):
    """Which part of a chain is at fault, a verdict in words, and all that was found."""

    guilty: Guilty
    verdict: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What was measured of a predicted mel beside the mel of its recording."""

    timing: Timing
    differences: list[Difference]
    settings: OtherSettings | None
    synthesis: Scored
    pitch: PitchShift | None


def concluded(
    copy: Scored,
    *,
    prediction: Prediction | None = None,
    values: Diagnosis | None = None,
    refused: str = "",
) -> PairDiagnosis:
    """The conclusion for a pair.

    Args:
        copy: Copy synthesis: the recording's own mel, vocoded.
        prediction: The predicted mel; None if it is not one that the vocoder takes.
        values: What the values of the mel are, if not what was stated.
        refused: Why there is no prediction.
    """
    if prediction is not None and _unrelated(prediction):
        return _of_strangers(prediction.timing, copy)
    theirs = [
        *_settings(prediction, values, refused),
        *(_predicted(prediction) if prediction else ()),
    ]
    ours = [*_copied(copy), *(_strays(copy, prediction, theirs) if prediction else ())]
    acoustic, vocoder = ([f for f in each if f.severity == "problem"] for each in (theirs, ours))
    guilty: Guilty = "neither"
    if acoustic and vocoder:
        guilty = "both"
    elif acoustic or vocoder:
        guilty = "the acoustic model" if acoustic else "the vocoder"
    findings = (_at_fault(guilty), *_scores(copy, prediction), *_advised_once([*theirs, *ours]))
    return PairDiagnosis(guilty, _verdict(guilty, acoustic, vocoder), findings)


def _advised_once(findings: list[Finding]) -> Iterator[Finding]:
    """The findings, each advice only where it comes first."""
    given: set[str] = set()
    for finding in findings:
        known = finding.advice in given
        yield dataclasses.replace(finding, advice=None) if known else finding
        given |= {finding.advice} if finding.advice else set()


def _unrelated(prediction: Prediction) -> bool:
    return prediction.timing.resemblance < _UNRELATED and prediction.settings is None


def _of_strangers(timing: Timing, copy: Scored) -> PairDiagnosis:
    value = (
        f"the envelopes correlate by {timing.resemblance:.2f}; those of the same words do by "
        "0.6 or more, whatever the voice"
    )
    advice = "give the mel and the recording of one utterance, by one voice"
    finding = Finding("resemblance", value, "problem", advice)
    return PairDiagnosis(
        "the pair",
        "The mel and the recording do not belong together, so neither network can be judged.",
        (_at_fault("the pair"), finding, *_copied(copy)),
    )


def _at_fault(guilty: Guilty) -> Finding:
    return Finding("at fault", guilty, "ok" if guilty == "neither" else "problem")


def _verdict(guilty: Guilty, acoustic: list[Finding], vocoder: list[Finding]) -> str:
    if guilty == "neither":
        return (
            "Both are fine: the vocoder copies the recording well, and the mel is like the "
            "recording's own."
        )
    parts = []
    if acoustic:
        parts.append(f"by its mel: {_named(acoustic)}")
    if vocoder:
        parts.append(f"by its copy of the recording's own mel: {_named(vocoder)}")
    fine = {
        "the acoustic model": "; the vocoder copies the recording well",
        "the vocoder": "; the predicted mel is like the recording's own",
    }.get(guilty, "")
    if guilty == "both":
        return f"Both are at fault: the acoustic model {parts[0]}; the vocoder {parts[1]}."
    subject = guilty[0].upper() + guilty[1:]
    return f"{subject} is at fault {parts[0]}{fine}."


def _named(findings: list[Finding]) -> str:
    shown = [f"{finding.name} ({finding.value})" for finding in findings[:2]]
    return " and ".join(shown) + (f" and {len(findings) - 2} more" if len(findings) > 2 else "")


def _scores(copy: Scored, prediction: Prediction | None) -> Iterator[Finding]:
    yield Finding("copy synthesis", copy.words)
    if prediction is not None:
        yield Finding("prediction", f"{prediction.synthesis.words} (aligned in time)")
    for name, reason in copy.skipped.items():
        yield Finding(METRICS[name].label, f"not measured: {reason}", "note")


def _settings(
    prediction: Prediction | None, values: Diagnosis | None, refused: str
) -> Iterator[Finding]:
    if refused:
        advice = "vocoder doctor with the mel alone says what it is and how to convert it"
        yield Finding("mel settings", refused, "problem", advice)
    if values is not None:
        yield Finding(
            "values", values.explanation.partition(":")[0], "problem", values_advice(values)
        )
    if prediction is not None and prediction.settings is not None:
        advice = "make the mel with the vocoder's settings, or take a vocoder for these"
        yield Finding("mel settings", prediction.settings.words, "problem", advice)


def values_advice(values: Diagnosis) -> str:
    """What to do about values of another normalisation, which the rest assumes was done."""
    return f"--normalisation {values.normalisation} converts them, as was done for the rest here"


def _predicted(prediction: Prediction) -> Iterator[Finding]:
    explained: set[Kind] = set()
    if prediction.settings is not None:
        explained = {"tempo", "spectral balance", "high band", "low band", "level", "contrast"}
    pitch = prediction.pitch
    blurred = any(each.kind == "over-smoothed" and each.grave for each in prediction.differences)
    if prediction.settings is not None or blurred:
        pitch = None  # they change it, too
    if pitch is not None and pitch.notable:
        severity: Severity = "problem" if pitch.grave else "note"
        yield Finding("pitch", pitch.words, severity, _OF_PITCH if pitch.grave else None)
    shifted = pitch is not None and pitch.grave
    for each in prediction.differences:
        if each.kind not in explained:
            grave = each.grave and not (shifted and each.kind in _OF_ANOTHER_PITCH)
            severity = "problem" if grave else "note"
            yield Finding(each.kind, each.words, severity, _OF_ACOUSTIC_MODEL[each.kind])
    if not prediction.timing.straight:
        yield Finding("tempo", "durations of its own: frames were aligned by DTW")


def _copied(copy: Scored) -> Iterator[Finding]:
    for name, value in copy.scores.items():
        metric, limits = METRICS[name], LIMITS[name]
        if name in copy.doubtful:
            worse = "below" if metric.better == "higher" else "above"
            bad = name in copy.bad
            limit = limits.grave if bad else limits.note
            unit = f" {metric.unit}" if metric.unit else ""
            words = f"{value:.{metric.decimals}f}{unit} in copy synthesis, {worse} {limit:g}"
            yield Finding(metric.label, words, "problem" if bad else "note", _OF_VOCODER)
    for each in copy.differences:
        if each.grave:
            yield Finding(f"copy: {each.kind}", each.words, "problem", _OF_VOCODER)
    for name, fewest in _ARTEFACTS.items():
        found = [each for each in copy.artefacts if each.detector == name]
        if len(found) >= fewest:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            detector = DETECTORS[name]
            label = f"copy: {detector.label}"
            yield Finding(label, found[0].words + more, "problem", detector.remedy)


def _strays(copy: Scored, prediction: Prediction, theirs: list[Finding]) -> Iterator[Finding]:
    """A vocoder that does not follow a mel that is nearly the recording's."""
    off = prediction.synthesis.deviation
    known = any(finding.severity == "problem" for finding in theirs)
    if not known and off > copy.deviation + _STRAYS:
        yield Finding(
            "predicted mel",
            f"the vocoder strays from it by {off:.2f} Np, from the recording's own by "
            f"{copy.deviation:.2f}",
            "problem",
            "fine-tune the vocoder on predicted mels (the manual's page on fine-tuning)",
        )
