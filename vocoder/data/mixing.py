"""The clips of one manifest or several, and how often each is drawn."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vocoder.data.manifest import Clip, read_manifest, target_clips
from vocoder.errors import ConfigError
from vocoder.io.audio import StrPath

Manifests = StrPath | Sequence[StrPath]


def listed(manifests: Manifests) -> list[Path]:
    """The paths of one manifest or several; ConfigError if there is none."""
    if isinstance(manifests, str | os.PathLike):
        return [Path(manifests)]
    paths = [Path(each) for each in manifests]
    if not paths:
        raise ConfigError("data.manifest is an empty list; name one manifest or more")
    return paths


class Mix:
    """The clips of a split of one manifest or several.

    Each clip is drawn in proportion to its duration; with `weights`, first a manifest in proportion
    to its weight, then a clip of it by duration. Raises what `target_clips` raises, and ConfigError
    for weights that do not fit, or if the manifests are paired with different kinds of files.

    Args:
        manifests: Path of a manifest, or several.
        weights: A positive number for each; None for the durations of their clips.
        split: The split that is read.
        sample_rate: Of the model, in Hz.
        takes: Whether the model takes each of the features "mel" and "narrowband".
        allow_band_limited: Whether to take clips whose content ends below the band.
    """

    def __init__(
        self,
        manifests: Manifests,
        *,
        weights: Sequence[float] | None,
        split: str,
        sample_rate: int,
        takes: Mapping[str, bool],
        allow_band_limited: bool,
    ) -> None:
        paths = listed(manifests)
        _check(weights, paths)
        self.clips: list[Clip] = []
        seconds: list[NDArray[np.float64]] = []
        for index, path in enumerate(paths):
            clips = target_clips(
                path,
                split=split,
                sample_rate=sample_rate,
                takes=takes,
                allow_band_limited=allow_band_limited,
            )
            self.clips += clips
            durations = np.array([clip.samples / clip.sample_rate for clip in clips])
            seconds.append(durations * (weights[index] / durations.sum() if weights else 1.0))
            if clips[0].paired != self.clips[0].paired:
                kinds = [each.paired or "no" for each in (self.clips[0], clips[0])]
                raise ConfigError(
                    f"{path}: its clips have {kinds[1]} files, those of {paths[0]} have {kinds[0]} "
                    "files; train on one kind"
                )
        self.ends = np.cumsum(np.concatenate(seconds))

    def clip_at(self, place: float) -> Clip:
        """The clip at a place that is uniform in [0, 1)."""
        index = int(np.searchsorted(self.ends, place * self.ends[-1], side="right"))
        return self.clips[min(index, len(self.clips) - 1)]


def with_split(manifests: Manifests, split: str) -> list[Path]:
    """Of several manifests those with clips in a split, or else the first, which is asked then."""
    paths = listed(manifests)
    if len(paths) == 1:
        return paths
    return [path for path in paths if read_manifest(path, split=split)] or paths[:1]


def _check(weights: Sequence[float] | None, paths: Sequence[Path]) -> None:
    if weights is None:
        return
    if len(weights) != len(paths):
        raise ConfigError(
            f"data.weights has {len(weights)} numbers for {len(paths)} manifests; give one for "
            "each, in the order of data.manifest, or none"
        )
    if not all(0.0 < weight < math.inf for weight in weights):
        raise ConfigError(f"data.weights is {list(weights)}; weights are positive numbers")
