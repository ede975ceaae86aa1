"""The fixed clips of validation."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import chain, islice, zip_longest
from pathlib import Path

from torch import Tensor

from vocoder.data.crops import read_crop, read_with_mel, read_with_narrowband
from vocoder.data.manifest import Clip, target_clips
from vocoder.data.mixing import Manifests, with_split
from vocoder.errors import AudioError
from vocoder.features.mel import MelSpec


def validation_clips(
    manifest: Manifests,
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
        manifest: Path of the manifest, or of several, of which some may lack the split.
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
    clips = [
        clip
        for path in with_split(manifest, split)
        for clip in target_clips(path, split=split, sample_rate=sample_rate, takes=takes)
    ]
    speakers: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: (clip.speaker, Path(str(clip.path)))):
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
