"""Random crops for training, and the fixed clips of validation.

The crops of a step follow from (seed, step, rank) alone. So resuming needs the number of the step
and nothing else, and neither the number of workers nor earlier steps can change the data.
"""

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain, islice, zip_longest
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from vocoder.data.crops import read_crop, read_with_mel, read_with_narrowband, require_files
from vocoder.data.manifest import Clip, target_clips
from vocoder.data.tones import gliding_tone
from vocoder.errors import AudioError, ConfigError
from vocoder.features.mel import MelSpec
from vocoder.io.audio import StrPath

# Playback rates are multiples of this: converting between rates without common factors needs long
# periods of both, so far more than the crop would be read.
_RATE_STEP = 50
_PASSED = 0.91  # share of the band that converting the rate leaves unchanged


class Batch(NamedTuple):
    """The crops of one step: `audio` [B, 1, segment], and `names` of their files, for messages.

    `features` are those that come from files: "mel" [B, M, F] or "narrowband" [B, 1, segment] of
    paired clips, otherwise none. `cutoffs` [B] is the frequency in Hz at which the content of each
    crop ends, above which it cannot serve as a target; None where all crops are full band.
    """

    audio: Tensor
    names: list[str]
    features: Mapping[str, Tensor] = MappingProxyType({})
    cutoffs: Tensor | None = None


class Segments(Dataset[Batch]):
    """Random training crops of a manifest: `segments[step]` is the `Batch` of that step.

    Each crop starts anywhere in a clip chosen in proportion to its duration, so every second of
    the corpus is equally likely. Only the crop is read from disk; it equals the same part of the
    whole file converted to `sample_rate`. From a file with several channels one is taken at
    random: a mean would cancel what the channels hold in opposite phase. Clips shorter than
    `segment` are padded with silence. Clips without content up to three quarters of the band are
    left out with a warning, and no clip is slowed so far that its content ends below nine tenths of
    the band; with `allow_band_limited` neither limit applies, and batches have `cutoffs`.

    Paired clips come with their mel or their narrow-band copy. Crops lie anywhere up to the end of
    the shorter file, with a mel from the start of a frame; short clips are padded with silence in
    both. Their speed is not changed, nor, with a mel, their level; a copy is scaled with its
    recording. Of several channels the mean is taken, as `vocoder mel` does.

    Raises ConfigError at construction if a value is impossible or no clip is left, AudioError when
    a clip cannot be read or is not the one in the manifest, MelMismatchError if a mel does not fit.

    Args:
        manifest: Path of the manifest.
        sample_rate: Of the crops, in Hz.
        segment: Length of a crop in samples.
        batch_size: Number of crops in a batch.
        seed: Of the random crops, which follow from seed, step and rank alone.
        rank: Of this process; every rank has other crops.
        world_size: Number of processes.
        split: The split of the manifest that is read.
        peak_db: Range in dBFS of the random level at which the peak of the whole *file* is put, so
            that quiet passages stay quiet; None leaves levels unchanged.
        speed: Range of the factors by which crops are sped up, which scales pitch and formants too
            and so adds variety to a few speakers.
        speed_share: Share of the crops whose speed is changed.
        allow_band_limited: Whether to take clips whose content ends below the band.
        tone_share: Share of the crops of unpaired clips that are replaced by a `gliding_tone`.
        mel: The mel that the model takes, to which paired mels are converted; None if it takes
            none.
        narrowband: Whether the model takes narrow-band copies.
    """

    def __init__(
        self,
        *,
        manifest: StrPath,
        sample_rate: int,
        segment: int,
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        split: str = "train",
        peak_db: tuple[float, float] | None = (-12.0, -0.5),
        speed: tuple[float, float] = (1.0, 1.0),
        speed_share: float = 1.0,
        allow_band_limited: bool = False,
        tone_share: float = 0.0,
        mel: MelSpec | None = None,
        narrowband: bool = False,
    ) -> None:
        for name, value in [("segment", segment), ("batch_size", batch_size)]:
            if value < 1:
                raise ConfigError(f"data.{name} is {value}; it must be positive")
        if not 0 <= seed < 2**64 or not 0 <= rank < world_size:
            raise ConfigError(
                f"data.seed {seed}, rank {rank} of {world_size}: both must be 0 or more, "
                "seed below 2^64 and rank below world_size"
            )
        if peak_db is not None and not peak_db[0] <= peak_db[1] <= 0.0:
            raise ConfigError(f"data.peak_db is {peak_db}; it must rise and end at 0 dBFS or below")
        if not 0.5 <= speed[0] <= speed[1] <= 2.0:
            raise ConfigError(f"data.speed is {speed}; it must rise within 0.5 and 2")
        if not 0.0 <= speed_share <= 1.0:
            raise ConfigError(f"data.speed_share is {speed_share}; it is a share of the crops")
        if not 0.0 <= tone_share < 1.0:
            raise ConfigError(
                f"data.tone_share is {tone_share}; it is a share of the crops, below 1"
            )
        self.manifest, self.tone_share = manifest, tone_share
        takes = {"mel": mel is not None, "narrowband": narrowband}
        self.clips = target_clips(
            manifest,
            split=split,
            sample_rate=sample_rate,
            takes=takes,
            allow_band_limited=allow_band_limited,
        )
        require_files(self.clips)
        self.paired = self.clips[0].paired
        if self.paired and tuple(speed) != (1.0, 1.0):
            raise ConfigError(
                f"data.speed is {speed}, but {manifest} has {self.paired} files, which fit one "
                "speed only; set data.speed=[1.0,1.0]"
            )
        self.narrowband, self.mel = narrowband, mel
        self.silence = torch.tensor(mel.silence if mel else ())[:, None]
        self.sample_rate, self.segment, self.batch_size = sample_rate, segment, batch_size
        self.key = np.array([seed, rank], dtype=np.uint64)
        self.peak_db, self.allow_band_limited = peak_db, allow_band_limited
        self.speed, self.speed_share = speed, speed_share
        self.ends = np.cumsum([clip.samples / clip.sample_rate for clip in self.clips])

    def __getitem__(self, step: int) -> Batch:
        """The batch of this step."""
        # Philox is counter-based: the step is the counter's second word, which leaves 2^64 numbers
        # to each. A row per crop, a column per decision, so no decision shifts another.
        counter = np.array([0, step, 0, 0], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=self.key, counter=counter))
        rows = generator.random((self.batch_size, 5))
        which = np.searchsorted(self.ends, rows[:, 0] * self.ends[-1], side="right")
        clips = [self.clips[min(index, len(self.clips) - 1)] for index in which]
        names = [str(clip.path) for clip in clips]
        if self.paired:
            read = self._with_mel if self.paired == "mel" else self._with_narrowband
            pairs = [read(clip, row[1], row[3]) for clip, row in zip(clips, rows, strict=True)]
            audio, given = (torch.stack(items) for items in zip(*pairs, strict=True))
            return Batch(audio, names, {self.paired: given})
        crops = [self._crop(clip, *row) for clip, row in zip(clips, rows[:, 1:], strict=True)]
        cutoffs = torch.tensor(
            [self._cutoff(c, row[4]) for c, row in zip(clips, rows, strict=True)]
        )
        for index in np.flatnonzero(generator.random(self.batch_size) < self.tone_share):
            cutoffs[index] = self.sample_rate / 2
            crops[index] = gliding_tone(
                generator, samples=self.segment, sample_rate=self.sample_rate
            )
        audio = torch.stack(crops)[:, None]
        return Batch(audio, names, {}, cutoffs if self.allow_band_limited else None)

    def _with_mel(self, clip: Clip, place: float, _level: float) -> tuple[Tensor, Tensor]:
        """A crop with its mel, both padded with silence. Shape: [1, segment], [M, F]."""
        assert self.mel
        audio, mel = read_with_mel(clip, self.mel, place=place, most=self.segment)
        missing = self.mel.frames(self.segment) - mel.shape[-1]
        return (
            F.pad(audio, (0, self.segment - audio.shape[-1])),
            torch.cat([mel, self.silence.expand(-1, missing)], dim=-1),
        )

    def _with_narrowband(self, clip: Clip, place: float, level: float) -> tuple[Tensor, Tensor]:
        """A crop with its narrow-band copy, both padded with silence. Shape: [1, segment] each."""
        pair = read_with_narrowband(
            clip, sample_rate=self.sample_rate, place=place, most=self.segment
        )
        audio, copy = F.pad(self._gain(clip, level) * pair, (0, self.segment - pair.shape[-1]))
        return audio, copy

    def _crop(self, clip: Clip, place: float, channel: float, level: float, speed: float) -> Tensor:
        """One crop; the four decisions are uniform in [0, 1). Shape: [segment]."""
        played_at = self._played_at(clip, speed)
        samples = round(clip.samples * self.sample_rate / played_at)
        start = int(place * (max(samples - self.segment, 0) + 1))
        audio = read_crop(
            clip,
            start=start,
            samples=min(self.segment, samples - start),
            sample_rate=self.sample_rate,
            played_at=played_at,
        )
        crop = self._gain(clip, level) * audio[int(channel * clip.channels)]
        return F.pad(crop, (0, self.segment - crop.shape[-1]))

    def _gain(self, clip: Clip, level: float) -> float:
        """The factor that puts the peak of the file at its level; `level` is uniform in [0, 1)."""
        if self.peak_db is None:
            return 1.0
        low, high = self.peak_db
        return float(10.0 ** ((low + (high - low) * level - clip.peak_dbfs) / 20.0))

    def _cutoff(self, clip: Clip, speed: float) -> float:
        """Where the content of a crop ends, in Hz; `speed` as for `_played_at`."""
        played_at = self._played_at(clip, speed)
        content = clip.bandwidth_hz * played_at / clip.sample_rate
        if played_at == self.sample_rate:
            return content
        return min(content, _PASSED * min(played_at, self.sample_rate) / 2)

    def _played_at(self, clip: Clip, speed: float) -> int:
        """The rate at which a clip is played back; `speed` is uniform in [0, 1)."""
        low, high = self.speed
        slowest = 0.0 if self.allow_band_limited else 0.9 * self.sample_rate / 2 / clip.bandwidth_hz
        low = min(max(low, slowest), max(1.0, low))
        if speed >= self.speed_share:
            return clip.sample_rate
        factor = low + (max(high, low) - low) * speed / self.speed_share
        if factor == 1.0:
            return clip.sample_rate
        return round(clip.sample_rate * factor / _RATE_STEP) * _RATE_STEP


def validation_clips(
    manifest: StrPath,
    *,
    sample_rate: int,
    split: str = "valid",
    limit: int,
    max_seconds: float,
    least: int = 1,
    mel: MelSpec | None = None,
    narrowband: bool = False,
) -> list[tuple[str, Tensor, Mapping[str, Tensor]]]:
    """The fixed clips of validation: a list of (speaker/file, audio, features from files).

    Speakers alternate in the order of their names, each with its clips in the order of paths. The
    audio is the first channel, of paired clips the mean, converted to `sample_rate`. Raises
    ConfigError if the split has no clip with enough bandwidth, AudioError for one that is too short
    or cannot be read.

    Shape of each: [1, T], "mel" [M, F] or "narrowband" [1, T].

    Args:
        manifest: Path of the manifest.
        sample_rate: Of the audio, in Hz.
        split: The split of the manifest that is read.
        limit: The number of clips, at most.
        max_seconds: Length of a clip, at most; its beginning is taken.
        least: Samples at `sample_rate` that a clip must have.
        mel: The mel that the model takes, to which paired mels are converted; None if it takes
            none.
        narrowband: Whether the model takes narrow-band copies.
    """
    takes = {"mel": mel is not None, "narrowband": narrowband}
    clips = target_clips(manifest, split=split, sample_rate=sample_rate, takes=takes)
    speakers: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: (clip.speaker, clip.path)):
        speakers[clip.speaker].append(clip)
    turns = chain.from_iterable(zip_longest(*speakers.values()))
    chosen = islice((clip for clip in turns if clip is not None), limit)
    most = int(max_seconds * sample_rate)
    beginnings = []
    for clip in chosen:
        audio, features = _beginning(clip, most, sample_rate, mel)
        if audio.shape[-1] < least:
            raise AudioError(
                f"{clip.path}: {audio.shape[-1]} samples at {sample_rate} Hz are too short for "
                f"validation, which needs {least} ({least / sample_rate:.3f} s); take it out of "
                f"split {split!r} of {manifest}, or prepare with a higher --min-seconds"
            )
        beginnings.append((f"{clip.speaker}/{clip.path.stem}", audio, features))
    return beginnings


def _beginning(
    clip: Clip, most: int, sample_rate: int, spec: MelSpec | None
) -> tuple[Tensor, Mapping[str, Tensor]]:
    if clip.mel and spec:
        audio, mel = read_with_mel(clip, spec, place=0.0, most=most)
        return audio, {"mel": mel}
    if clip.narrowband:
        audio, copy = read_with_narrowband(clip, sample_rate=sample_rate, place=0.0, most=most)
        return audio, {"narrowband": copy}
    samples = min(most, round(clip.samples * sample_rate / clip.sample_rate))
    return read_crop(clip, start=0, samples=samples, sample_rate=sample_rate)[:1], {}
