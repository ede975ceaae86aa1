"""What a lower precision changes, for `vocoder bench precision`: speed, and audio of recordings.

Speed is that of the network beside the reference, PyTorch in float32 as written, run in turn. The
audio is copy synthesis of recordings by a vocoder, or for an extender the recordings again from a
copy without their upper band.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vocoder.bench.infer.compare import PairedTimes, compare, difference
from vocoder.bench.infer.ways import PRECISIONS, Way, call_of, length, opened, threads
from vocoder.errors import AudioError, ConfigError, VocoderError
from vocoder.evaluation.metrics.quality.pesq import pesq_wb
from vocoder.evaluation.metrics.spectral import lsd
from vocoder.inference.extender import Extender
from vocoder.inference.network import Eager
from vocoder.inference.vocoder import Vocoder
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.kernels.switch import reference_only

_LONGEST = 10.0  # seconds of a recording that are used
CLIPS = Path("egs") / "clips"
"""Recordings of the repository, which are the default where they are at hand."""


@dataclass(frozen=True, kw_only=True)
class PrecisionBenchSettings:
    """What to measure. Raises ConfigError for what cannot be measured."""

    precisions: tuple[str, ...] = PRECISIONS
    threads: int = 1
    seconds: float = 4.0
    """Length of the noise that speed is measured on."""
    rounds: int = 7
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in self.precisions:
            if name not in PRECISIONS:
                raise ConfigError(f"there is no precision {name!r}; give {', '.join(PRECISIONS)}")
        if min(self.threads, self.rounds) < 1 or not 0 < self.seconds < float("inf"):
            raise ConfigError("threads and rounds are numbers from 1 on, and seconds above 0")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What audio loses against that of float32 as written, over all recordings.

    `difference` is the largest difference relative to the peak of a recording, `distance` the mean
    log-spectral distance in dB (`lsd`), `pesq` and `reference_pesq` the means of PESQ-wb against
    the recordings in this precision and in float32, and `fall` the largest fall of one. They are
    None where pesq is not installed, or scores none of the recordings.
    """

    difference: float
    distance: float
    pesq: float | None
    reference_pesq: float | None
    fall: float | None


@dataclass(frozen=True, kw_only=True)
class PrecisionRun:
    """Figures of one precision; only `refused`, the reason, where it is not to be had.

    `path` says how the network ran; speeds are seconds of audio per second.
    """

    precision: str
    refused: str | None = None
    path: str | None = None
    times: PairedTimes | None = None
    speed: float | None = None
    reference_speed: float | None = None
    loss: Loss | None = None


@dataclass(frozen=True)
class PrecisionBenchResult:
    """Everything measured of one model, with so many recordings."""

    model: str
    recordings: int
    runs: list[PrecisionRun]


class _Copy(NamedTuple):
    """A recording at the model's rate, the model's audio of it, and its PESQ. Shape: [T] each."""

    recording: Tensor
    audio: Tensor
    pesq: float | None


def recordings(files: Sequence[str]) -> list[Path]:
    """Files to measure with: those given, or the clips of the repository; raises ConfigError."""
    found = [Path(name) for name in files] or sorted(CLIPS.glob("*/*.flac"))
    if not found:
        raise ConfigError(f"no recordings given, and there is no {CLIPS} here: name some files")
    return found


def measure(
    name: str, settings: PrecisionBenchSettings, files: Sequence[Path]
) -> PrecisionBenchResult:
    """Measure the model that `name` loads, on audio files. Raises VocoderError."""
    way = Way(threads=settings.threads, seconds=settings.seconds, device=settings.device)
    with threads(settings.threads):
        written = opened(name, way)
        written.network = Eager(written.generator)
        with reference_only():
            expected = [_copy(written, file) for file in files]
        runs = [
            _run(name, precision, written, way, settings, files, expected)
            for precision in settings.precisions
        ]
    return PrecisionBenchResult(written.config.name, len(files), runs)


def _run(
    name: str,
    precision: str,
    written: Vocoder | Extender,
    reference: Way,
    settings: PrecisionBenchSettings,
    files: Sequence[Path],
    expected: Sequence[_Copy],
) -> PrecisionRun:
    """Measure one precision of a model beside the reference."""
    way = Way(
        runtime="torch", precision=precision, seconds=reference.seconds, device=reference.device
    )
    try:
        model = opened(name, way)
    except VocoderError as error:
        return PrecisionRun(precision=precision, refused=str(error))
    calls = {precision: call_of(model, way)}
    times = compare(call_of(written, reference), calls, settings.rounds)[precision]
    audio = length(written, reference)
    return PrecisionRun(
        precision=precision,
        path=model.network.path,
        times=times,
        speed=audio / times.seconds,
        reference_speed=audio / times.reference,
        loss=_loss([_copy(model, file) for file in files], expected, model.sample_rate),
    )


def _copy(model: Vocoder | Extender, file: Path) -> _Copy:
    """Let a model make a recording again."""
    audio, rate = read_audio(file)
    mono = audio.reshape(-1, audio.shape[-1]).mean(0)[: round(_LONGEST * rate)]
    recording = resample_soxr(mono, rate, model.sample_rate)
    if isinstance(model, Extender):
        narrow = round(2 * model.cutoff_range[0])
        low = resample_soxr(mono, rate, narrow)
        made = model(low, sample_rate=narrow, cutoff=narrow / 2)
    else:
        made = model.resynth(mono, sample_rate=rate)
    size = min(len(recording), len(made))
    recording, made = recording[:size], made[:size].cpu()
    return _Copy(recording, made, _pesq(recording, made, model.sample_rate))


def _pesq(recording: Tensor, made: Tensor, sample_rate: int) -> float | None:
    try:
        return pesq_wb(recording, made, sample_rate)
    except (AudioError, ConfigError):  # silence, or the package is missing
        return None


@torch.no_grad()
def _loss(made: Sequence[_Copy], expected: Sequence[_Copy], sample_rate: int) -> Loss:
    pairs = list(zip(made, expected, strict=True))
    scored = [(a.pesq, b.pesq) for a, b in pairs if a.pesq is not None and b.pesq is not None]
    return Loss(
        difference=max(difference(a.audio, b.audio) for a, b in pairs),
        distance=10.0 * statistics.mean(lsd(b.audio, a.audio, sample_rate) for a, b in pairs),
        pesq=statistics.mean(a for a, _ in scored) if scored else None,
        reference_pesq=statistics.mean(b for _, b in scored) if scored else None,
        fall=max(b - a for a, b in scored) if scored else None,
    )
