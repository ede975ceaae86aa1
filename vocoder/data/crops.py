"""Crops of recordings at any sample rate, with their paired mel or narrow-band copy."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vocoder.data.manifest import Clip
from vocoder.data.pairs import narrowband_copy, read_paired_mel
from vocoder.data.unreadable import tolerated
from vocoder.errors import AudioError
from vocoder.features.mel import MelSpec
from vocoder.io.audio import read_audio, resample_soxr
from vocoder.io.members import Member, is_url

log = logging.getLogger(__name__)
# Samples at the lower rate that soxr's HQ filter spans on either side: 128 leave an error of 1e-7.
_FILTER_REACH = 256


def require_files(clips: Sequence[Clip], *, share: float = 0.0) -> None:
    """Raise AudioError, which names one and counts all, if files of clips are missing.

    With a `share`, so many (at least one) may be missing, which is a warning. Of files in tars, the
    local tars are looked for.
    """
    optional = [path for clip in clips for path in (clip.path, clip.mel, clip.narrowband)]
    paths = [path for path in optional if isinstance(path, Path)]
    shards = {path.shard for path in optional if isinstance(path, Member)}
    paths += [Path(shard) for shard in sorted(shards) if not is_url(shard)]
    folders = {path.parent for path in paths}  # listed once each: faster than a look at every file
    listed = {folder: set(os.listdir(folder) if folder.is_dir() else ()) for folder in folders}
    names = (path for path in paths if path.name not in listed[path.parent])
    missing = [path for path in names if not path.exists()]  # spelt as in the folder or not
    if not missing:
        return
    found = f"{missing[0]}: no such file ({len(missing)} of {len(paths)} are missing)"
    if not share or len(missing) > tolerated(len(paths), share):
        raise AudioError(f"{found}; run `vocoder prepare` again")
    log.warning("%s; other crops take their place", found)


def read_crop(
    clip: Clip, *, start: int, samples: int, sample_rate: int, played_at: int | None = None
) -> Tensor:
    """Read samples [start, start + samples) of a clip at `sample_rate`, and little more than those.

    Raises AudioError if the file is gone, broken, or not the one in the manifest.

    Shape: [C, samples].

    Args:
        clip: The recording.
        start: First sample of the crop, counted at `sample_rate`.
        samples: Length of the crop, counted at `sample_rate`.
        sample_rate: Of the crop, in Hz.
        played_at: Rate in Hz that the file is treated as having, to change its speed and pitch;
            None: its own.
    """
    orig_rate, new_rate = played_at or clip.sample_rate, sample_rate
    first, last = start, start + samples  # samples of the file that are read
    if orig_rate != new_rate:
        # Samples of both rates coincide once in a period. Reading from there keeps the phase of
        # the filter, from an even period also how half a sample of length is rounded.
        period = 2 * orig_rate // math.gcd(orig_rate, new_rate)
        margin = math.ceil(_FILTER_REACH * max(1.0, orig_rate / new_rate))
        first = max(start * orig_rate // new_rate - margin, 0) // period * period
        last = -(-(start + samples) * orig_rate // new_rate) + margin
    frames = min(last, clip.samples) - first
    audio, rate = read_audio(clip.path, start=first, frames=frames)
    if (audio.shape, rate) != ((clip.channels, frames), clip.sample_rate):
        raise AudioError(
            f"{clip.path}: not the file that the manifest describes; run `vocoder prepare` again"
        )
    skipped = start - first * new_rate // orig_rate
    return resample_soxr(audio, orig_rate, new_rate)[:, skipped : skipped + samples]


def read_with_mel(clip: Clip, spec: MelSpec, *, place: float, most: int) -> tuple[Tensor, Tensor]:
    """Read up to `most` samples of a paired clip, from the start of a frame on, and their mel.

    `place` in [0, 1) selects the frame. Raises what `read_crop` and `read_paired_mel` raise.

    Shape: [1, T], [M, spec.frames(T)].
    """
    mel = read_paired_mel(clip, spec)
    hop = spec.hop_length
    available = (mel.shape[-1] - spec.frames(0)) * hop  # samples that have frames
    frame = int(place * (max(available - most, 0) // hop + 1))
    start = frame * hop
    samples = min(most, available - start)
    audio = read_crop(clip, start=start, samples=samples, sample_rate=spec.sample_rate)
    return audio.mean(0, keepdim=True), mel[:, frame : frame + spec.frames(samples)]


def read_with_narrowband(clip: Clip, *, sample_rate: int, place: float, most: int) -> Tensor:
    """Read up to `most` samples of a paired clip and the same time span of its narrow-band copy.

    `place` in [0, 1) selects the start, such that the crop ends within the shorter of both. Raises
    what `read_crop` and `narrowband_copy` raise.

    Shape: [2, 1, T], the recording first.
    """
    pair = clip, narrowband_copy(clip)
    available = min(round(file.samples * sample_rate / file.sample_rate) for file in pair)
    start = int(place * (max(available - most, 0) + 1))
    samples = min(most, available - start)
    crops = [
        read_crop(file, start=start, samples=samples, sample_rate=sample_rate) for file in pair
    ]
    return torch.stack([crop.mean(0, keepdim=True) for crop in crops])
