"""The block of one utterance on the listening report, as values for its template."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vocoder.evaluation.listening import page_tables as tables
from vocoder.evaluation.listening.page_media import (
    SoundAndPictures,
    UtteranceMedia,
    begin_of,
    mel_share,
)
from vocoder.evaluation.report import FileScore, Report

_SHORTEST_DELAY_MS = 0.01  # of what is said beside a version; the table of all scores has all
_MEL_TICKS = (0, 500, 1000, 2000, 4000, 8000, 16000)


def utterance_content(
    anchor: str,
    name: str,
    scores: Mapping[str, FileScore],
    media: UtteranceMedia,
    reports: Mapping[str, Report],
    metrics: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """Everything that `utterance.html` shows of one utterance.

    Args:
        anchor: Its name in links.
        name: Name of the file.
        scores: Scores of the file by system.
        media: Sounds and pictures.
        reports: Reports of all systems, in the order of the page.
        metrics: Facts of the metrics (`metric_facts`).
    """
    versions = [_version("reference", media.reference, media)]
    artefacts = []
    for index, (system, report) in enumerate(reports.items(), 1):
        if system not in scores:
            reason = report.unscored.get(name, "no file of this name")
            versions.append({"name": system, "sound": None, "absent": reason})
            continue
        score = scores[system]
        versions.append(_version(system, media.systems[system], media, score))
        artefacts += [_artefact(each, system, index) for each in _placed_artefacts(score)]
    return {
        "anchor": anchor,
        "name": name,
        "seconds": round(media.seconds, 4),
        "facts": _facts(media),
        "peak": f"{media.peak:.2g}",
        "scale": round(1.0 / max(media.peak, 1e-3), 3),
        "second_ticks": ticks(media.seconds, "s", most=6),
        "versions": versions,
        "artefacts": artefacts,
        "scores": [
            {
                "label": metric["label"],
                "unit": metric["unit"],
                "better": metric["better"],
                "cells": [tables.score_cell(metric, scores.get(system)) for system in reports],
            }
            for metric in metrics
        ],
    }


def ticks(end: float, unit: str, *, most: int) -> list[tuple[float, str]]:
    """Round numbers from 0 to `end`, at most `most` + 1, with their places; the last has the unit.

    >>> ticks(2.6, "s", most=6)
    [(0.0, '0'), (0.1923, '0.5'), (0.3846, '1'), (0.5769, '1.5'), (0.7692, '2'), (0.9615, '2.5 s')]
    """
    power = 10.0 ** math.floor(math.log10(end / most))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * most >= end * (1 - 1e-9))
    count = math.floor(end / step * (1 + 1e-9))
    texts = [f"{i * step:.6g}" for i in range(count + 1)]
    texts[-1] += f" {unit}"
    return [(round(i * step / end, 4), text) for i, text in enumerate(texts)]


def _facts(media: UtteranceMedia) -> str:
    channels = {1: "mono", 2: "stereo"}.get(media.channels, f"{media.channels} channels")
    facts = f"{media.seconds:.2f} s, {media.reference.sample_rate / 1000:g} kHz, {channels}"
    if media.scaled < 1.0:
        decibels = tables.signed(20.0 * math.log10(media.scaled), 1)
        facts += f"; all versions play at {decibels} dB, since one exceeds full scale"
    return facts


def _version(
    name: str, version: SoundAndPictures, media: UtteranceMedia, score: FileScore | None = None
) -> dict[str, Any]:
    top = version.sample_rate / 2
    found = _placed_artefacts(score) if score else []
    mel_ticks = [(mel_share(hz, top), f"{hz / 1000:g}") for hz in _MEL_TICKS if hz < 0.9 * top]
    return {
        "name": name,
        "sound": version.sound,
        "waveform": version.waveform,
        "spectrogram": version.spectrogram,
        "difference": version.difference,
        "difference_words": f"{version.mean_difference:.1f} dB on average",
        "hertz_ticks": ticks(media.hertz / 1000, "kHz", most=4),
        "mel_ticks": [*mel_ticks[:-1], (mel_ticks[-1][0], mel_ticks[-1][1] + " kHz")],
        "top": f"{media.hertz / 1000:g}",
        "facts": _remarks(score, media) if score else [],
        "marks": [_mark(each, media.seconds, media.hertz) for each in found],
        "gain": "" if version.gain is None else round(version.gain, 2),
    }


def _remarks(score: FileScore, media: UtteranceMedia) -> list[str]:
    """What is particular about this version of the file."""
    found = []
    delay = tables.delay_ms(score)
    if abs(delay) >= _SHORTEST_DELAY_MS:
        done = "removed" if score.alignment.removed else "not removed"
        found.append(f"{tables.signed(delay, 2)} ms delay, {done}")
    if score.gap:
        word = "lacks" if score.gap > 0 else "is too long by"
        found.append(f"{word} {100 * abs(score.gap):.1f} %")
    if score.sample_rate != media.reference.sample_rate:
        found.append(f"compared at {score.sample_rate / 1000:g} kHz")
    return found


def _placed_artefacts(score: FileScore) -> list[dict[str, Any]]:
    """Artefacts of a file at their times in the whole reference, which the page plays."""
    shift = begin_of(score.alignment) / score.sample_rate
    return [
        {**each, "begin": each["begin"] + shift, "end": each["end"] + shift}
        for each in score.artefacts
    ]


def _mark(artefact: Mapping[str, Any], seconds: float, top: float) -> dict[str, str]:
    """Place of an artefact in the spectrogram, in per cent of its width and height."""
    begin, end = (max(0.0, min(1.0, artefact[k] / seconds)) for k in ("begin", "end"))
    low = min((artefact["low_hz"] or 0.0) / top, 1.0)
    high = min((artefact["high_hz"] or top) / top, 1.0)
    box = {"left": begin, "width": end - begin, "bottom": low, "height": max(0.0, high - low)}
    style = "; ".join(f"{name}: {100 * share:.2f}%" for name, share in box.items())
    return {"style": style, "words": artefact["words"]}


def _artefact(artefact: Mapping[str, Any], system: str, version: int) -> dict[str, Any]:
    return {
        "system": system,
        "version": version,
        "begin": round(artefact["begin"], 3),
        "time": f"{artefact['begin']:.2f}–{artefact['end']:.2f} s",
        "words": f"{tables.detector_label(artefact['detector'])}: {artefact['words']}",
    }
