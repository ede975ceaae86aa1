"""Measurements of one recording, and the faults that follow from them."""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import torch

from vocoder.data.manifest import FULL_BAND
from vocoder.io.audio import AudioSource, probe, read_blocks
from vocoder.io.bandwidth import BandwidthMeter

Fault = Literal[
    "unreadable",
    "not scaled",
    "too short",
    "silent",
    "duplicate",
    "too loud",
    "clipped",
    "low bandwidth",
    "stereo",
]
EXCLUDING: frozenset[Fault] = frozenset(
    {"unreadable", "not scaled", "too short", "silent", "duplicate", "too loud"}
)

_BLOCK = 2**18  # samples read at a time: a few seconds, so that memory does not grow with a file
_FULL_SCALE = 32767 / 32768  # the largest positive 16-bit sample
_CLIPPED_RUN = 3
_LOUDEST_DBFS = 3.0  # decoders of MP3 and Ogg overshoot full scale, by less than that
_SILENT_PEAK_DBFS = -60.0
_SILENT_RMS_DBFS = -70.0


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The measured properties of one audio file.

    Levels are over all channels; `digest` identifies the samples, whatever the container.
    """

    sample_rate: int
    channels: int
    samples: int
    peak_dbfs: float
    rms_dbfs: float
    clipped_runs: int
    bandwidth_hz: int
    digest: str

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.samples / self.sample_rate


def measure(path: AudioSource) -> Measurement:
    """Measure one audio file in a single pass. Raises AudioError if it cannot be read."""
    info = probe(path)
    digest = hashlib.blake2b(str(info.sample_rate).encode(), digest_size=16)
    peak, energy, runs = 0.0, 0.0, 0
    tail = torch.zeros(info.channels, _CLIPPED_RUN, dtype=torch.bool)
    meter = BandwidthMeter(info.sample_rate)
    for block in read_blocks(path, frames=_BLOCK):
        digest.update(block.T.contiguous().numpy().tobytes())
        peak = max(peak, float(block.abs().max()))
        energy += float(block.double().square().sum())
        # The end of the last block goes before this one, so that runs across the seam count once.
        full = torch.cat([tail, block.abs() >= _FULL_SCALE], dim=-1)
        run = full.unfold(-1, _CLIPPED_RUN, 1).all(-1)
        runs += int((run[:, 1:] & ~run[:, :-1]).sum())
        tail = full[:, -_CLIPPED_RUN:]
        meter.add(block)
    return Measurement(
        **info._asdict(),
        peak_dbfs=_decibels(peak**2),
        rms_dbfs=_decibels(energy / (info.samples * info.channels)),
        clipped_runs=runs,
        bandwidth_hz=meter.bandwidth_hz,
        digest=digest.hexdigest(),
    )


def faults_of(measured: Measurement, min_seconds: float) -> dict[Fault, str]:
    """The faults of a recording that can be read, apart from "duplicate": kind → explanation."""
    faults: dict[Fault, str] = {}
    if measured.seconds < min_seconds:
        faults["too short"] = f"lasts {measured.seconds:.3f} s, less than {min_seconds} s"
    if measured.peak_dbfs < _SILENT_PEAK_DBFS or measured.rms_dbfs < _SILENT_RMS_DBFS:
        faults["silent"] = f"peak {measured.peak_dbfs:.1f}, RMS {measured.rms_dbfs:.1f} dBFS"
    if measured.peak_dbfs > _LOUDEST_DBFS:
        faults["too loud"] = (
            f"its peak is {measured.peak_dbfs:.1f} dB above full scale, more than a model can "
            "produce; scale its samples into [-1, 1]"
        )
    if measured.clipped_runs:
        faults["clipped"] = (
            f"{measured.clipped_runs} runs of {_CLIPPED_RUN} or more full-scale samples; "
            "record it with less gain"
        )
    if measured.bandwidth_hz < FULL_BAND * measured.sample_rate / 2:
        faults["low bandwidth"] = (
            f"content ends at {measured.bandwidth_hz} Hz of {measured.sample_rate // 2} Hz; "
            "it may have been upsampled, find the original or train at a lower rate"
        )
    if measured.channels > 1:
        faults["stereo"] = (
            f"{measured.channels} channels; training takes one of them at random, "
            "their mean if it is paired with another file"
        )
    return faults


def _decibels(mean_square: float) -> float:
    return 10.0 * math.log10(mean_square) if mean_square > 0.0 else -math.inf
