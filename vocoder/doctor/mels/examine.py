"""Examine a mel file: what it is, whether a model takes it, and the conversion if there is one."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vocoder.doctor.examination import Examination, Finding, Severity
from vocoder.doctor.mels.content import MelContent, content_of, upside_down
from vocoder.doctor.mels.filters import PresetMatch, rank_presets, spectrogram_of
from vocoder.doctor.mels.fit import ModelFit, fit_of, model_findings, refusal
from vocoder.doctor.mels.recording import EXACT, RecordingMatch, match_recording
from vocoder.doctor.mels.scale import MelScale, percent, scale_by_recording, scale_by_values
from vocoder.features.mel import PRESETS, MelSpec
from vocoder.features.mel_check import check_mel
from vocoder.io.audio import read_audio
from vocoder.io.mel_file import read_mel_array

_SECONDS = 60.0  # of a recording that are read
_NEAR = 0.03  # nepers; what was predicted typically deviates by more


@dataclass(frozen=True)
class MelContext:
    """What a mel is compared with: the settings of a model by its name, and a recording."""

    model: str
    spec: MelSpec
    recording: Path | None = None


def examine_mel(path: Path, context: MelContext) -> Examination:
    """Examine one mel file. Raises VocoderError if it or the recording cannot be read."""
    array, stated = read_mel_array(path)
    own = stated or context.spec
    content = content_of(array, own.n_mels)
    if content.mel is None:
        return Examination(str(path), "mel", f"{content.what}.", content.findings)
    mel, order = _in_order(content.mel, _readable(own, len(content.mel)))
    match = _match(mel, context, stated)
    readable = _readable(own, len(mel))
    scale = scale_by_recording(mel, match) if match else scale_by_values(mel, readable)
    presets = (
        [] if match else rank_presets(scale.nepers, scale.name, by_statistics=scale.by_statistics)
    )
    refused = refusal(mel, context.spec)
    fit = fit_of(scale, presets, match, context.spec, len(mel), refused)
    findings = (
        *content.findings,
        *order,
        *_stated_findings(mel, stated),
        _scale_finding(mel, scale, fit),
        *_filter_findings(presets, match, len(mel)),
        *_recording_findings(match, scale, context),
        *model_findings(fit, path, context.model),
    )
    verdict = (
        f"{_described(content, len(mel), bool(order))}: {_told(scale, presets, fit)}. "
        f"{fit.sentence(context.model)}"
    )
    return Examination(str(path), "mel", verdict, findings)


def _readable(spec: MelSpec, bands: int) -> MelSpec:
    """Settings by which a mel of so many bands can be read: `spec`, or of a preset with as many."""
    if spec.n_mels == bands:
        return spec
    fitting = (each for each in PRESETS.values() if each.n_mels == bands)
    base = spectrogram_of(next(fitting, PRESETS["hifigan_22k_80"]))
    if base.n_mels == bands:
        return base
    return dataclasses.replace(
        base, n_mels=bands, n_fft=max(base.n_fft, 8 * bands), win_length=1024
    )


def _in_order(mel: Tensor, spec: MelSpec) -> tuple[Tensor, tuple[Finding, ...]]:
    """The mel with low bands first, and a finding if they were last."""
    reading = scale_by_values(mel, spec)
    if not upside_down(reading.nepers):
        return mel, ()
    advice = "turn them round: mel[::-1] of a NumPy array with the bands first"
    value = "probably from high to low: the upper ones are louder and fluctuate more"
    return mel.flip(0), (Finding("order of bands", value, "problem", advice),)


def _match(mel: Tensor, context: MelContext, stated: MelSpec | None) -> RecordingMatch | None:
    if context.recording is None:
        return None
    audio, rate = read_audio(context.recording)
    audio = audio.mean(dim=0)[: round(_SECONDS * rate)]
    specs = [context.spec, *([stated] if stated else [])]
    found = match_recording(mel, audio, rate, specs)
    return found if found is not None and found.typical < 0.3 else None


def _stated_findings(mel: Tensor, stated: MelSpec | None) -> Iterator[Finding]:
    if stated is None:
        yield Finding("settings", "the file states none", "ok")
        return
    names = [name for name, spec in PRESETS.items() if spec == stated]
    value = f"stated in the file: {names[0] if names else 'those of no preset'}"
    found = check_mel(mel, stated) if stated.n_mels == len(mel) else None
    if found:
        advice = "correct them, or name the right ones by --preset or --normalisation"
        yield Finding("settings", f"{value}; but it {found.explanation}", "problem", advice)
    else:
        yield Finding("settings", value)


def _scale_finding(mel: Tensor, scale: MelScale, fit: ModelFit) -> Finding:
    value = f"{scale.title} [{mel.min():.4g} to {mel.max():.4g}] ({scale.evidence})"
    name = f" = {scale.name}" if scale.name else ""
    severity: Severity = "ok"
    if fit.refused:
        severity = "problem"
    elif fit.other_scale or scale.probability == 0:
        severity = "note"
    advice = None
    if fit.refused and not fit.normalisation:
        advice = fit.refused.explanation.rpartition(": ")[2]
    return Finding("values", value.replace(scale.title, scale.title + name, 1), severity, advice)


def _filter_findings(
    presets: list[PresetMatch], match: RecordingMatch | None, bands: int
) -> Iterator[Finding]:
    if match is not None:
        changed = ", ".join(f"{name} {getattr(match.spec, name)}" for name in match.changed)
        how = "reproduces it" if match.exact else "comes nearest"
        value = f"{match.preset or 'the model'}{f' with {changed}' if changed else ''} {how}"
        deviation = f"(largest deviation {match.deviation:.1e} Np, median {match.typical:.1e})"
        yield Finding("spectrogram", f"{value} {deviation}", "ok" if match.exact else "note")
        return
    if not presets:
        yield Finding("spectrogram", f"no preset has {bands} bands", "note")
        return
    shown = [
        f"{preset.name}{_aliases(preset)} {percent(preset.probability)}"
        for preset in presets
        if preset.probability >= 0.05
    ]
    sure = presets[0].probability > 0.9
    value = f"{'probably ' if sure else 'compatible with: '}{', '.join(shown)}"
    advice = None if sure else "--recording WAV, of which the mel is, tells it exactly"
    yield Finding("spectrogram", f"{value} (by the filters' areas and widths)", "ok", advice)
    best = PRESETS[presets[0].name]
    rate = best.sample_rate / best.hop_length
    top = f"{best.f_min:g} to {best.top_hz:g} Hz, {best.mel_scale}, norm {best.norm}"
    yield Finding("frames", f"by that preset {rate:.1f} per second; bands from {top}")


def _aliases(preset: PresetMatch) -> str:
    return f" (also {', '.join(preset.aliases)})" if preset.aliases else ""


def _recording_findings(
    match: RecordingMatch | None, scale: MelScale, context: MelContext
) -> Iterator[Finding]:
    if context.recording is None:
        return
    if match is None or match.typical > _NEAR:
        value = f"{context.recording}: the mel does not follow from it by any known settings"
        advice = "is it that recording? a predicted mel differs from it too: give both as a pair"
        yield Finding("recording", value, "problem", advice)
        return
    parts = []
    if match.shift:
        where = "after its beginning" if match.shift > 0 else "before it"
        parts.append(f"starts {abs(match.shift)} frames {where}")
    if scale.gain:
        parts.append(f"{abs(scale.gain):.2f} dB {'louder' if scale.gain > 0 else 'quieter'}")
    if match.preemphasis:
        parts.append(f"pre-emphasis {match.preemphasis}")
    same = "the same audio" if match.exact else f"not within {EXACT:g} Np of the mel"
    yield Finding("recording", "; ".join(parts) or same, "note" if parts else "ok")


def _described(content: MelContent, bands: int, flipped: bool) -> str:
    order = ", upside down" if flipped else ""
    return f"a mel of {bands} bands{order}{'' if content.usable else ', damaged'}"


def _told(scale: MelScale, presets: list[PresetMatch], fit: ModelFit) -> str:
    how = "" if scale.probability > 0.9 else "probably " if scale.probability > 0.6 else "perhaps "
    if not fit.preset:
        return f"{how}{scale.title}"
    if not presets:
        return f"{how}{scale.title}; filters of {fit.preset}"
    sure = presets[0].probability
    likely = "" if sure > 0.9 else "probably " if sure > 0.6 else "perhaps "
    return f"{how}{scale.title}; filters {likely}of {fit.preset} ({percent(sure)})"
