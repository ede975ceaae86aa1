"""Screening of listeners after a test: who did not hear, did not listen, or did not try."""

from collections.abc import Sequence

from vocoder.evaluation.listening.results.sheets import AnswerSheet, ChosenTrial, RatedTrial
from vocoder.evaluation.listening.trials.stimuli import REFERENCE

HIGH_RATING = 90.0  # of BS.1534-3, 4.1.2
MOST_TRIALS = 0.15
RULES = {
    "mushra": (
        "leaves out who rates the hidden reference below 90 in more than 15 % of the trials, or "
        "the anchor (the highest of several) above 90 in more than 15 % (both: ITU-R BS.1534-3), "
        "or leaves more than 15 % of the trials before their sound could have ended once"
    ),
    "abx": (
        "leaves out who gets any of the control trials wrong (recording against the same "
        "low-passed at 3.5 kHz), or leaves more than 15 % of the trials before their sound "
        "could have ended once; being at chance with the systems is a result and leaves nobody out"
    ),
    "ab": (
        "leaves out who prefers a recording low-passed at 3.5 kHz to itself in any of the control "
        "trials, or leaves more than 15 % of the trials before their sound could have ended once"
    ),
}


def faults(sheet: AnswerSheet) -> list[str]:
    """Why a listener is to be left out: none or more reasons, by the `RULES` of the test."""
    trials = sheet.trials
    hasty = sum(trial.seconds < trial.duration for trial in trials)
    found = [_share("left before the sound could have ended", hasty, len(trials))]
    if sheet.kind == "mushra":
        found += _rating_faults([t for t in trials if isinstance(t, RatedTrial)])
    else:
        found += _choice_faults([t for t in trials if isinstance(t, ChosenTrial)])
    return [reason for reason in found if reason]


def _rating_faults(trials: Sequence[RatedTrial]) -> list[str]:
    low = sum(trial.ratings[REFERENCE] < HIGH_RATING for trial in trials)
    found = [_share(f"hidden reference rated below {HIGH_RATING:g}", low, len(trials))]
    anchors = [name for name in trials[0].ratings if name.startswith("anchor ")] if trials else []
    if anchors:
        highest = max(anchors, key=lambda name: float(name.split()[1]))
        high = sum(trial.ratings[highest] > HIGH_RATING for trial in trials)
        found.append(_share(f"{highest} rated above {HIGH_RATING:g}", high, len(trials)))
    return found


def _choice_faults(trials: Sequence[ChosenTrial]) -> list[str]:
    controls = [trial for trial in trials if trial.role == "control"]
    wrong = sum(trial.answer != (trial.x or REFERENCE) for trial in controls)
    return [f"{wrong} of {len(controls)} control trials wrong"] if wrong else []


def _share(words: str, count: int, total: int) -> str:
    return f"{words} in {count} of {total} trials" if count > MOST_TRIALS * total else ""
