"""The listening report: one page to hear, see and compare what systems made of recordings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vocoder.evaluation.comparison import Evaluation
from vocoder.evaluation.listening import page_tables as tables
from vocoder.evaluation.listening.page_media import (
    COMPARED_DB,
    DIFFERENCE_DB,
    MELS,
    RANGE_DB,
    legends,
    utterance_media,
)
from vocoder.evaluation.listening.page_selection import (
    scores_by_name,
    worst_and_sample,
    worst_first,
)
from vocoder.evaluation.listening.page_utterance import utterance_content
from vocoder.evaluation.statistics import METHOD
from vocoder.pages.page import write_page

_TEMPLATE = Path(__file__).parent / "templates" / "report.html"
_STYLES = ("report.css",)
_SCRIPTS = ("player.js", "table.js", "waveform.js", "stage.js", "report.js", "strips.js")
_LARGEST = 100_000_000  # characters of sounds; browsers become slow with more


def write_report(
    evaluation: Evaluation,
    path: Path,
    *,
    files: int = 30,
    on_file: Callable[[str], None] | None = None,
) -> None:
    """Write the listening report of an evaluation: one HTML file that needs no network.

    Its tables and distributions have every file. It plays and shows at most `files` of them: half
    are the worst, by mean rank over all metrics and systems, half lie evenly among the others. What
    it leaves out, also in order not to exceed 100 MB of sounds, is named there.

    Raises AudioError for a recording that can no longer be read, ConfigError for a missing package,
    VocoderError if the page cannot be written.

    Args:
        evaluation: Scores of one or more systems against the same recordings.
        path: Where the page is written.
        files: Most utterances to play and show.
        on_file: Called with each name before its sounds and pictures are made.
    """
    metrics = tables.metric_facts(evaluation)
    tests = {name: evaluation.paired(name) for name in evaluation.metrics}
    utterances = _utterances(evaluation, metrics, files, on_file)
    anchors = {each["name"]: each["anchor"] for each in utterances}
    write_page(
        path,
        _TEMPLATE,
        styles=_STYLES,
        scripts=_SCRIPTS,
        lead=_lead(evaluation),
        systems=list(evaluation.reports),
        metrics=metrics,
        summary=tables.summary_table(evaluation, tests),
        notes=tables.notes(evaluation),
        paired=tables.paired_rows(evaluation, tests),
        unscored=tables.unscored_rows(evaluation),
        utterances=utterances,
        left_out=_left_out(evaluation, anchors),
        rows=tables.all_rows(evaluation, metrics, anchors),
        legends=legends(),
        measured=_measured(),
        detectors=tables.detector_facts(evaluation),
        versions=next(iter(evaluation.reports.values())).versions,
        overview=_overview(evaluation, metrics, anchors),
    )


def _utterances(
    evaluation: Evaluation,
    metrics: list[dict[str, Any]],
    most: int,
    on_file: Callable[[str], None] | None,
) -> list[dict[str, Any]]:
    """Contents of the blocks, the worst utterance first."""
    scores = scores_by_name(evaluation)
    found: list[dict[str, Any]] = []
    size = 0
    for name in worst_and_sample(worst_first(evaluation), most):
        if on_file is not None:
            on_file(name)
        media = utterance_media(scores[name])
        size += sum(len(each.sound) for each in (media.reference, *media.systems.values()))
        if size > _LARGEST:
            break
        anchor = f"u{len(found) + 1}"
        reports = evaluation.reports
        found.append(utterance_content(anchor, name, scores[name], media, reports, metrics))
    return found


def _lead(evaluation: Evaluation) -> str:
    systems = list(evaluation.reports)
    names = " and ".join(filter(None, [", ".join(systems[:-1]), systems[-1]]))
    count = len(scores_by_name(evaluation))
    return (
        f"{names} against the {count} recordings in {evaluation.reference}: hear, see and compare."
    )


def _left_out(evaluation: Evaluation, anchors: dict[str, str]) -> dict[str, Any]:
    """Which utterances are in the tables alone, and a sentence that says so."""
    names = [name for name in scores_by_name(evaluation) if name not in anchors]
    sentence = (
        f"{len(anchors)} of {len(anchors) + len(names)} utterances can be heard here: half are the "
        "worst by mean rank over all metrics and systems, half lie evenly among the others. "
        f"{len(names)} are left out, but all are in the tables and distributions; their names:"
    )
    return {"sentence": sentence if names else "", "names": names}


def _overview(
    evaluation: Evaluation, metrics: list[dict[str, Any]], anchors: dict[str, str]
) -> dict[str, Any]:
    """What the scripts know: the scores of every file by metric and system."""
    files = [
        {
            "name": name,
            "anchor": anchors.get(name),
            "scores": {
                metric["name"]: {
                    system: round(score.scores[metric["name"]], 6)
                    for system, score in scores.items()
                    if metric["name"] in score.scores
                }
                for metric in metrics
            },
        }
        for name, scores in scores_by_name(evaluation).items()
    ]
    kept = ("name", "label", "unit", "better", "decimals")
    return {
        "systems": list(evaluation.reports),
        "metrics": [{key: metric[key] for key in kept} for metric in metrics],
        "files": files,
    }


def _measured() -> list[str]:
    return [
        "Files are paired by name, converted to the lower sample rate of the two, aligned in time "
        "and cut to the shorter; sounds and pictures here are those aligned files. Delays and "
        "differences in length are in the tables.",
        f"Statistics: {METHOD}.",
        "Sounds are stored without loss in 16 bits. Matching of loudness gives every version the "
        "integrated loudness of its reference (ITU-R BS.1770-4); its gains stand beside the "
        "versions, and where one would exceed full scale, all versions are lowered alike.",
        "Waveforms reach to the highest sample of their utterance, of which 1 is full scale. "
        f"Spectrograms: Hann window of 40 ms, down to {RANGE_DB:g} dB below the loudest point of "
        f"all versions. Mel differences: {MELS} bands up to half the sample rate, system − "
        f"reference, ±{DIFFERENCE_DB:g} dB; what lies {COMPARED_DB:g} dB or more below the loudest "
        "point of both counts as equal.",
        "vocoder listen-test RECORDINGS FOLDER… -o test.html makes a listening test of them, "
        "for others to take.",
    ]
