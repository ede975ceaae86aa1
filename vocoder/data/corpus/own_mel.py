"""Comparison of a mel file with the mel of its own recording."""

import functools
import math
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from vocoder.features.mel import MelSpec, MelSpectrogram
from vocoder.features.mel_check import Diagnosis, compare_mels
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.io.members import Member

_SECONDS = 15.0  # of a long recording that are compared


def differs_from_recording(
    mel: Tensor, spec: MelSpec, recording: Path | Member, sample_rate: int
) -> Diagnosis | None:
    """What is wrong with a mel as that of its recording by `spec`; None if it can be.

    Of a long recording, 15 s in the middle are read. Raises AudioError if they cannot be.

    Shape: [M, F], the frames of the whole recording.
    """
    frames = mel.shape[-1]
    longest = math.ceil(_SECONDS * spec.sample_rate / spec.hop_length)
    first = max(0, (frames - longest) // 2)
    per_frame = spec.hop_length * sample_rate / spec.sample_rate
    part = None if frames <= longest else round(longest * per_frame)
    audio, _ = read_audio(recording, start=round(first * per_frame), frames=part)
    audio = resample_soxr(audio.mean(0, keepdim=True), sample_rate, spec.sample_rate)
    audio = F.pad(audio, (0, max(0, spec.n_fft - audio.shape[-1])))
    own = _transform(spec)(audio[None])[0]  # [M, F]
    mel = mel[:, first : first + own.shape[-1]]
    own = own[:, : mel.shape[-1]]
    if part is not None:  # windows at the ends of a part lack what lies beyond it
        edge = math.ceil(spec.n_fft / 2 / spec.hop_length)
        mel, own = mel[:, edge:-edge], own[:, edge:-edge]
    return compare_mels(mel, own, spec)


@functools.lru_cache(maxsize=8)
def _transform(spec: MelSpec) -> MelSpectrogram:
    return MelSpectrogram(spec)
