"""Random crops for training.

A crop follows from the seed, the step and its place in the batch of all processes alone. So
resuming needs the number of the step and nothing else, and neither the number of workers or of
processes nor earlier steps can change the data.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from vocoder.data.batch import Batch as Batch, own_share
from vocoder.data.crops import read_crop, read_with_mel, read_with_narrowband, require_files
from vocoder.data.manifest import Clip
from vocoder.data.mixing import Manifests, Mix
from vocoder.data.tones import gliding_tone
from vocoder.data.unreadable import (
    ATTEMPTS,
    UNREADABLE,
    OnError,
    SkippedClip,
    check_settings,
    given_up,
)
from vocoder.errors import ConfigError
from vocoder.features.mel import MelSpec

# Playback rates are multiples of this: converting between rates without common factors needs long
# periods of both, so far more than the crop would be read.
_RATE_STEP = 50
_PASSED = 0.91  # share of the band that converting the rate leaves unchanged


class TrainingCrop(NamedTuple):
    """A crop [1, segment] of a clip, what is paired with it, and where its content ends in Hz."""

    clip: Clip
    audio: Tensor
    given: Tensor | None
    cutoff: float


class Segments(Dataset[Batch]):
    """Random training crops of a manifest: `segments[step]` is the `Batch` of that step.

    Every process has its share of the batch, `own`; the shares differ by one crop at most.

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

    A clip that cannot be read, is not the one in the manifest or whose mel does not fit raises
    AudioError or MelMismatchError or, with `on_error` "skip", gives way to another crop, drawn
    anew from (seed, step, place in the batch, attempt); the batch names it in `skipped`, which is
    for the caller to count. Ten in a row raise the error of the last one.

    Raises ConfigError at construction if a value is impossible or no clip is left, AudioError if
    files are missing.

    Args:
        manifest: Path of the manifest, or of several.
        sample_rate: Of the crops, in Hz.
        segment: Length of a crop in samples.
        batch_size: Number of crops in the batch of all processes together.
        seed: Of the random crops.
        rank: Of this process.
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
        weights: Shares of the crops that are taken from each of several manifests; None: each
            second of all of them is equally likely.
        on_error: What a clip that cannot be read does: "stop" the training, or "skip".
        unreadable_share: Share of the clips, at least one, that may be missing with "skip".
    """

    def __init__(
        self,
        *,
        manifest: Manifests,
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
        weights: Sequence[float] | None = None,
        on_error: OnError = "stop",
        unreadable_share: float = 0.05,
    ) -> None:
        for name, value in [("segment", segment), ("batch_size", batch_size)]:
            if value < 1:
                raise ConfigError(f"data.{name} is {value}; it must be positive")
        if not 0 <= seed < 2**64 or not 0 <= rank < world_size:
            raise ConfigError(
                f"data.seed {seed}, rank {rank} of {world_size}: both must be 0 or more, "
                "seed below 2^64 and rank below world_size"
            )
        _check_variety(peak_db, speed, speed_share, tone_share)
        check_settings(on_error, unreadable_share)
        self.manifest, self.tone_share = manifest, tone_share
        self.mix = Mix(
            manifest,
            weights=weights,
            split=split,
            sample_rate=sample_rate,
            takes={"mel": mel is not None, "narrowband": narrowband},
            allow_band_limited=allow_band_limited,
        )
        self.clips = self.mix.clips
        self.on_error, self.unreadable_share = on_error, unreadable_share
        require_files(self.clips, share=unreadable_share if on_error == "skip" else 0.0)
        self.paired = self.clips[0].paired
        if self.paired and tuple(speed) != (1.0, 1.0):
            raise ConfigError(
                f"data.speed is {speed}, but {manifest} has {self.paired} files, which fit one "
                "speed only; set data.speed=[1.0,1.0]"
            )
        self.narrowband, self.mel = narrowband, mel
        self.silence = torch.tensor(mel.silence if mel else ())[:, None]
        self.sample_rate, self.segment, self.batch_size = sample_rate, segment, batch_size
        self.own, self.world_size = own_share(batch_size, rank, world_size), world_size
        self.peak_db, self.allow_band_limited = peak_db, allow_band_limited
        self.speed, self.speed_share, self.seed = speed, speed_share, seed

    @property
    def weight(self) -> float:
        """Size of the share of this process relative to the mean of all: 1 if they are equal."""
        return float((self.own.stop - self.own.start) * self.world_size / self.batch_size)

    def __getitem__(self, step: int) -> Batch:
        """The batch of this step."""
        generator = self._generator(step)
        rows = generator.random((self.batch_size, 5))[self.own]
        skipped: list[SkippedClip] = []
        crops = [
            self._readable(step, index, row, skipped)
            for index, row in enumerate(rows, start=self.own.start)
        ]
        names = [str(crop.clip.path) for crop in crops]
        audio = torch.stack([crop.audio for crop in crops])
        if self.paired:
            given = torch.stack([crop.given for crop in crops if crop.given is not None])
            return Batch(audio, names, {self.paired: given}, skipped=skipped)
        cutoffs = torch.tensor([crop.cutoff for crop in crops])
        for index in np.flatnonzero(generator.random(self.batch_size) < self.tone_share):
            # Tones of other processes are made, too: the numbers of the next ones come after them.
            tone = gliding_tone(generator, samples=self.segment, sample_rate=self.sample_rate)
            if self.own.start <= index < self.own.stop:
                cutoffs[index - self.own.start] = self.sample_rate / 2
                audio[index - self.own.start] = tone
        return Batch(audio, names, {}, cutoffs if self.allow_band_limited else None, skipped)

    def _generator(self, step: int, index: int = 0, attempt: int = 0) -> np.random.Generator:
        """The random numbers of a step, or of a further attempt at one crop of it."""
        # Philox is counter-based: the step is the counter's second word, which leaves 2^64 numbers
        # to each. A row per crop, a column per decision, so no decision shifts another.
        key = np.array([self.seed, attempt], dtype=np.uint64)
        counter = np.array([0, step, index, 0], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    def _readable(
        self, step: int, index: int, row: NDArray[np.float64], skipped: list[SkippedClip]
    ) -> TrainingCrop:
        """The crop of a row of decisions, or of the next attempt whose clip can be read."""
        for attempt in range(1, ATTEMPTS + 1):
            clip = self.mix.clip_at(row[0])
            try:
                return self.read(clip, *row[1:])
            except UNREADABLE as error:
                if self.on_error == "stop":
                    raise
                skipped.append(SkippedClip.of(clip, error))
            row = self._generator(step, index, attempt).random(5)
        raise given_up(skipped[-1])

    def read(
        self, clip: Clip, place: float, channel: float, level: float, speed: float
    ) -> TrainingCrop:
        """A crop of a clip; the four decisions are uniform in [0, 1)."""
        if self.paired == "mel":
            return TrainingCrop(clip, *self._with_mel(clip, place), 0.0)
        if self.paired:
            return TrainingCrop(clip, *self._with_narrowband(clip, place, level), 0.0)
        audio = self._crop(clip, place, channel, level, speed)
        return TrainingCrop(clip, audio[None], None, self._cutoff(clip, speed))

    def _with_mel(self, clip: Clip, place: float) -> tuple[Tensor, Tensor]:
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


def _check_variety(
    peak_db: tuple[float, float] | None,
    speed: tuple[float, float],
    speed_share: float,
    tone_share: float,
) -> None:
    """Raise ConfigError for levels, speeds or shares of tones that are impossible."""
    if peak_db is not None and not peak_db[0] <= peak_db[1] <= 0.0:
        raise ConfigError(f"data.peak_db is {peak_db}; it must rise and end at 0 dBFS or below")
    if not 0.5 <= speed[0] <= speed[1] <= 2.0:
        raise ConfigError(f"data.speed is {speed}; it must rise within 0.5 and 2")
    if not 0.0 <= speed_share <= 1.0:
        raise ConfigError(f"data.speed_share is {speed_share}; it is a share of the crops")
    if not 0.0 <= tone_share < 1.0:
        raise ConfigError(f"data.tone_share is {tone_share}; it is a share of the crops, below 1")
