"""Random crops for training, and the fixed clips of validation.

The crops of a step follow from (seed, step, rank) alone. So resuming needs the number of the step
and nothing else, and neither the number of workers nor the steps before can change what is seen.
"""

import signal
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain, islice, zip_longest
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vocoder.data.crops import read_crop, read_with_mel, read_with_narrowband
from vocoder.data.manifest import Clip, target_clips
from vocoder.data.tones import gliding_tone
from vocoder.errors import ConfigError, VocoderError
from vocoder.features.mel import MelSpec
from vocoder.io.audio import StrPath

# Played rates are multiples of this: converting between rates without common factors needs long
# periods of both, so far more than the crop would be read.
_RATE_STEP = 50
_PASSED = 0.91  # share of the band that converting the rate leaves as it is


class Batch(NamedTuple):
    """Crops [B, 1, segment] and, for messages, the path of the file that each was cut from.

    `features` are those that come from files: "mel" [B, M, F] or "narrowband" [B, 1, segment] of
    paired clips, otherwise none. `cutoffs` [B] in Hz is where the content of each crop ends, above
    which nothing can be learned from it; None where all are full band.
    """

    audio: Tensor
    names: list[str]
    features: Mapping[str, Tensor] = MappingProxyType({})
    cutoffs: Tensor | None = None


class Segments(Dataset[Batch]):
    """The crops of every step, addressed by its number: `segments[step]`.

    Each crop starts anywhere in a clip chosen in proportion to its duration, so every second of
    the corpus is as likely as any other. Only the crop is read from disk; it equals the same part
    of the whole file converted to `sample_rate`. A file with several channels gives one of them
    at random: a mean would cancel what the channels hold in opposite phase, a channel is always
    something that was recorded. Clips shorter than `segment` are followed by silence. With
    `peak_db`, the peak of the *file* is put at a random level in that range, in dBFS, so that
    quiet passages stay quiet; None leaves levels alone. `speed` is the range of factors at which
    crops are played, pitch and formants with them: a few speakers become many. No clip is slowed
    so far that its content ends below nine tenths of the band. `speed_share` of the crops are
    played so, the others as they were recorded. Clips without content up to three
    quarters of the band are left out with a warning. With `allow_band_limited` both limits fall, and every
    batch says where its crops end.

    `tone_share` is the share of crops, of clips without a pair, that are a `gliding_tone` instead.

    Paired clips come with their mel file, as `mel` has it (None: a model that takes no mel), or
    with their narrow-band copy (`narrowband`: whether the model takes one). Crops lie anywhere up
    to where either file ends first, with a mel from the start of a frame; what follows a short clip
    is silence in both. Speed is left alone, and the level with a mel, which would not fit any more;
    a copy is changed by the same factor. Of several channels the mean is taken, as `vocoder mel`
    does.

    Raises ConfigError at construction if a value is impossible or no clip is left, AudioError when
    a clip cannot be read or is not what the manifest says, MelMismatchError if a mel does not fit.
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
        self.paired = self.clips[0].paired
        if self.paired and tuple(speed) != (1.0, 1.0):
            raise ConfigError(
                f"data.speed is {speed}, but {manifest} has {self.paired} files, which play at one "
                "speed; set data.speed=[1.0,1.0]"
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
        """A crop with its mel, silence behind both. Shape: [1, segment], [M, F]."""
        assert self.mel
        audio, mel = read_with_mel(clip, self.mel, place=place, most=self.segment)
        missing = self.mel.frames(self.segment) - mel.shape[-1]
        return (
            F.pad(audio, (0, self.segment - audio.shape[-1])),
            torch.cat([mel, self.silence.expand(-1, missing)], dim=-1),
        )

    def _with_narrowband(self, clip: Clip, place: float, level: float) -> tuple[Tensor, Tensor]:
        """A crop with its narrow-band copy, silence behind both. Shape: [1, segment] each."""
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
        """What puts the peak of the file at its level; `level` is uniform in [0, 1)."""
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
        """The rate to play a clip at; `speed` is uniform in [0, 1)."""
        low, high = self.speed
        dullest = 0.0 if self.allow_band_limited else 0.9 * self.sample_rate / 2 / clip.bandwidth_hz
        low = min(max(low, dullest), max(1.0, low))
        if speed >= self.speed_share:
            return clip.sample_rate
        factor = low + (max(high, low) - low) * speed / self.speed_share
        if factor == 1.0:
            return clip.sample_rate
        return round(clip.sample_rate * factor / _RATE_STEP) * _RATE_STEP


def loader(segments: Segments, *, start: int, steps: int, workers: int) -> Iterator[Batch]:
    """The batches of steps [start, start + steps), prepared ahead by `workers` processes (0: none).

    Each worker computes on one thread (torch's own rule). Batches are in pinned memory if there
    is a GPU. An error in a worker is raised here as it was there.
    """
    batches = DataLoader(
        _Outcomes(segments),
        sampler=range(start, start + steps),
        batch_size=None,  # an item is a whole batch
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_leave_signals_to_parent,
        generator=torch.Generator(),  # the loader draws a seed: not from the model's random state
    )
    for outcome in batches:
        if isinstance(outcome, VocoderError):
            raise outcome
        yield outcome


class _Outcomes(Dataset[Batch | VocoderError]):
    """Segments whose errors are items: raised in a worker, they would arrive as a traceback."""

    def __init__(self, segments: Segments) -> None:
        self.segments = segments

    def __getitem__(self, step: int) -> Batch | VocoderError:
        try:
            return self.segments[step]
        except VocoderError as error:
            return error


def _leave_signals_to_parent(_worker: int) -> None:
    # Ctrl-C and a scheduler's SIGTERM reach the whole process group. The trainer then finishes its
    # step and saves, for which the workers must live; they end with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def validation_clips(
    manifest: StrPath,
    *,
    sample_rate: int,
    split: str = "valid",
    limit: int,
    max_seconds: float,
    mel: MelSpec | None = None,
    narrowband: bool = False,
) -> list[tuple[str, Tensor, Mapping[str, Tensor]]]:
    """The first `max_seconds` of up to `limit` clips, always the same, named speaker/file.

    Speakers take turns in the order of their names, each with its clips in the order of paths.
    First channel, converted to `sample_rate`; of paired clips the mean, and their mel as `mel` has
    it or their narrow-band copy. Raises ConfigError if the split has no clip with enough bandwidth.
    Shape of each: [1, T], "mel" [M, F] or "narrowband" [1, T].
    """
    takes = {"mel": mel is not None, "narrowband": narrowband}
    clips = target_clips(manifest, split=split, sample_rate=sample_rate, takes=takes)
    speakers: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: (clip.speaker, clip.path)):
        speakers[clip.speaker].append(clip)
    turns = chain.from_iterable(zip_longest(*speakers.values()))
    chosen = islice((clip for clip in turns if clip is not None), limit)
    most = int(max_seconds * sample_rate)
    return [
        (f"{clip.speaker}/{clip.path.stem}", *_beginning(clip, most, sample_rate, mel))
        for clip in chosen
    ]


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
