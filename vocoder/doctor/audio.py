"""What is wrong with a recording, for training on it or for vocoding: `examine_audio`."""

import math
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from vocoder.data.corpus.measure import EXCLUDING, Measurement, faults_of, measure
from vocoder.doctor.examination import Examination, Finding, Severity
from vocoder.doctor.recordings.samples import depth, edges, relation
from vocoder.doctor.recordings.spectrum import Origin, holes, hum, origin, quiet_frames
from vocoder.errors import AudioError, ConfigError
from vocoder.evaluation.artefacts.catalogue import DETECTORS, detect
from vocoder.evaluation.metrics.loudness import loudness
from vocoder.io.audio import read_audio
from vocoder.io.containers.opening import UnscaledAudioError, opened

_MIN_SECONDS = 0.3  # as `vocoder prepare`
_SECONDS = 300  # of a long recording that are looked at in detail
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_CHECKED = 60  # seconds that are searched for artefacts
_CLIPPED = "record with less gain: models learn the distortion. A declipper helps a little"
_ARTEFACTS: dict[str, tuple[int, Severity, str]] = {
    "clipping": (1, "problem", _CLIPPED),
    "dc": (1, "problem", "high-pass the recording at 20 Hz, or subtract its mean"),
    "clicks": (3, "note", "look for cuts, dropped buffers and mouth clicks there"),
}
_QUIET_LUFS = -36.0
_LONG_SILENCE, _SILENT_SHARE = 1.0, 0.4  # seconds at an end; share of the recording
_NOISY, _GRAVE_NOISY = 25.0, 15.0  # dB


def examine_audio(path: str | Path) -> Examination:
    """Say what a recording is and what is wrong with it; raises AudioError if it cannot be read.

    The faults are those of `vocoder prepare`, and more. Of a long recording, the first five minutes
    are looked at in detail.
    """
    path = Path(path)
    try:
        measured = measure(path)
    except UnscaledAudioError as error:
        reason = str(error).removeprefix(f"{path}: ")
        finding = Finding("scale", reason, "problem", "divide the samples, then write them again")
        return Examination(str(path), "audio", "Its samples are not in [-1, 1].", (finding,))
    audio, rate = read_audio(path, frames=min(measured.samples, _SECONDS * measured.sample_rate))
    came_from = _origin(audio, measured)
    findings = (
        *_format(path, measured),
        *_of_prepare(measured),
        *_bandwidth(measured, came_from),
        *_levels(audio, measured),
        *_artefacts(audio, measured),
        *_noise(audio, rate),
        *_silence(audio, rate),
        *_channels(audio),
    )
    return Examination(str(path), "audio", _verdict(measured, findings), findings)


def _verdict(measured: Measurement, findings: tuple[Finding, ...]) -> str:
    what = (
        f"{measured.seconds:.2f} s, {measured.sample_rate} Hz, "
        f"{'mono' if measured.channels == 1 else f'{measured.channels} channels'}"
    )
    named = {
        severity: [f.name for f in findings if f.severity == severity]
        for severity in ("problem", "note")
    }
    if named["problem"]:
        return f"{what}: problems with {', '.join(named['problem'])}."
    if named["note"]:
        return f"{what}: usable; note {', '.join(named['note'])}."
    return f"{what}: nothing is wrong with it."


def _origin(audio: Tensor, measured: Measurement) -> Origin | None:
    channel = audio[audio.square().mean(-1).argmax()]
    if not measured.bandwidth_hz:
        return None
    holed = holes(channel, measured.sample_rate, measured.bandwidth_hz)
    return origin(measured.bandwidth_hz, measured.sample_rate, holed)


def _format(path: Path, measured: Measurement) -> Iterator[Finding]:
    with opened(path) as file:
        stored = _BITS.get(file.subtype)
        words = f"{file.format}, {file.subtype.replace('_', ' ')}"
    yield Finding("format", words)
    found = None
    if stored is not None:
        found = depth(path, stored, min(measured.samples, 60 * measured.sample_rate))
    if found is not None and found.few and measured.peak_dbfs > -30.0:
        yield Finding(
            "bit depth",
            f"only {found.levels} different values: once stored with 8 bits or less",
            "problem",
            "its noise is at about -50 dB, and models learn it: find the original",
        )
    elif found is not None and found.used < found.stored:
        yield Finding(
            "bit depth",
            f"{found.stored} bits, of which the lowest {found.stored - found.used} are always 0",
            "note",
            f"it was {found.used}-bit audio; it loses nothing if stored so",
        )


def _of_prepare(measured: Measurement) -> Iterator[Finding]:
    """What `vocoder prepare` says of it, but for what is told in detail below."""
    for kind, words in faults_of(measured, _MIN_SECONDS).items():
        if kind in ("stereo", "clipped", "low bandwidth"):
            continue
        severity: Severity = "problem" if kind in EXCLUDING else "note"
        yield Finding(kind, words, severity, "vocoder prepare leaves it out")


def _bandwidth(measured: Measurement, came_from: Origin | None) -> Iterator[Finding]:
    nyquist = measured.sample_rate / 2
    words = f"content up to {measured.bandwidth_hz} Hz of {nyquist:.0f} Hz"
    if "low bandwidth" in faults_of(measured, _MIN_SECONDS):
        where = f"; {came_from.words}" if came_from and not came_from.lossy else ""
        advice = (
            f"find the original, or train at {_rate_for(measured.bandwidth_hz)} Hz; a model that "
            "learns from it will be as dull. vocoder extend adds the missing band"
        )
        yield Finding("bandwidth", words + where, "problem", advice)
    elif came_from is not None and came_from.resampled:
        yield Finding("bandwidth", f"{words}; {came_from.words}", "note")
    else:
        yield Finding("bandwidth", words)
    if came_from is not None and came_from.lossy:
        yield Finding(
            "codec",
            came_from.words,
            "note",
            "models learn its holes and ringing above the cutoff: prefer lossless originals",
        )


def _rate_for(bandwidth: int) -> int:
    rates = (8000, 16000, 22050, 24000, 32000, 44100, 48000)
    return max((rate for rate in rates if rate <= 2.15 * bandwidth), default=8000)


def _levels(audio: Tensor, measured: Measurement) -> Iterator[Finding]:
    words = f"peak {measured.peak_dbfs:.1f} dBFS, RMS {measured.rms_dbfs:.1f} dBFS"
    try:
        loud = loudness(audio, measured.sample_rate)
        words += f", {loud:.1f} LUFS" if math.isfinite(loud) else ""
    except ConfigError:  # without pyloudnorm, the RMS must do
        loud = measured.rms_dbfs
    if _QUIET_LUFS > loud > -math.inf:
        yield Finding("level", words, "note", "quiet: scale recordings of one voice alike")
    else:
        yield Finding("level", words)


def _artefacts(audio: Tensor, measured: Measurement) -> Iterator[Finding]:
    """Clipping, offset and clicks, of the loudest channel."""
    channel = audio[audio.square().mean(-1).argmax(), : _CHECKED * measured.sample_rate]
    try:
        found = detect(channel, measured.sample_rate)
    except AudioError:  # too short for detectors, which other findings say
        return
    full_scale = "clipped" in faults_of(measured, _MIN_SECONDS)
    if full_scale:
        words = f"{measured.clipped_runs} runs of full-scale samples"
        yield Finding("clipping", words, "problem", _CLIPPED)
    for name, (fewest, severity, advice) in _ARTEFACTS.items():
        these = [each for each in found if each.detector == name]
        if len(these) >= fewest and not (name == "clipping" and full_scale):
            more = f" (and {len(these) - 1} more)" if len(these) > 1 else ""
            yield Finding(DETECTORS[name].label, these[0].words + more, severity, advice)


def _places(seconds: tuple[float, ...]) -> str:
    return f", such as at {', '.join(f'{s:.2f}' for s in seconds[:3])} s"


def _noise(audio: Tensor, rate: int) -> Iterator[Finding]:
    channel = audio[audio.square().mean(-1).argmax()]
    quiet = quiet_frames(channel, rate)
    if quiet is not None:
        words = f"quietest frames at {quiet.level:.0f} dBFS, {quiet.below:.0f} dB under the loudest"
        severity: Severity = "ok"
        if quiet.below < _NOISY and quiet.noisy:
            severity = "problem" if quiet.below < _GRAVE_NOISY else "note"
        advice = "noise, room or music without pauses: for speech, denoise it or leave it out"
        yield Finding("noise", words, severity, advice if severity != "ok" else None)
    line = hum(channel, rate)
    if line is not None:
        frequency, level, above = line
        yield Finding(
            "mains hum",
            f"{frequency} Hz and harmonics at {level:.0f} dBFS, {above:.0f} dB above their sides",
            "problem" if level > -60.0 else "note",
            f"notch filters at multiples of {frequency} Hz, or a high-pass above it",
        )


def _silence(audio: Tensor, rate: int) -> Iterator[Finding]:
    found, seconds = edges(audio, rate), audio.shape[-1] / rate
    share = (found.before + found.after) / seconds
    words = f"{found.before:.2f} s before and {found.after:.2f} s after the sound"
    if max(found.before, found.after) > _LONG_SILENCE or share > _SILENT_SHARE:
        advice = "trim it to 0.1 to 0.3 s: crops of silence teach little"
        yield Finding("silence", f"{words}, {100 * share:.0f} % of it", "note", advice)
    else:
        yield Finding("silence", words)
    if found.gaps:
        yield Finding(
            "digital silence",
            f"{len(found.gaps)} between sounds{_places(found.gaps)}: edited, gated or joined",
            "note",
            "models hear hard edges there: keep the room's own noise in pauses",
        )


def _channels(audio: Tensor) -> Iterator[Finding]:
    if audio.shape[0] == 2 and bool(audio.any()):
        found = relation(audio)
        if found is not None:
            yield Finding("channels", found[0], "problem", found[1])
            return
    if audio.shape[0] > 1:
        words = f"{audio.shape[0]} channels that differ"
        advice = "vocoder train takes one of them at random; mono models average them"
        yield Finding("channels", words, "note", advice)
