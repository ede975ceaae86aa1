"""Which frame of a predicted mel belongs to which of the recording's, and what their times tell."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vocoder.errors import ConfigError

_DEPTH = 8.0  # nepers under the loudest value below which nothing matters
_LAGS = 12  # frames by which mels of one length are shifted before frames are warped
_SAME = 0.9  # correlation from which a shift alone explains the times
_COEFFICIENTS = 16  # of the cosine transform of a frame: its envelope, not its harmonics
_DETOUR = 0.3  # what a step that holds one mel costs, in units of the usual distance of frames
_QUIET = 4.0  # nepers under the loudest frame below which a frame is a pause
_JUMP = 4  # frames lost or repeated at one place that are not a matter of tempo
_PLATEAU = 6  # frames on either side of a jump that lie straight
_STRAIGHT = 1.0  # frames beside a line, of most frames


@dataclass(frozen=True)
class Timing:
    """How the frames of a mel lie against those of a recording's mel.

    `index` has the frame of the mel for each frame of the recording, as a fraction of a frame at
    first rounded to whole ones.   Shape: [F].
    """

    index: Tensor
    resemblance: float
    """Correlation of the envelopes of frames with sound, without level and mean: 1 is the same.

    Other words have up to 0.47, the same words of another voice 0.64, and a mel of the recording
    itself at least 0.68, whatever was done to it (230 and 700 pairs of 20 voices).
    """
    active: Tensor
    """Frames of the recording that are no pause.   Shape: [F], boolean."""
    offset: float
    """Frames by which the mel is late at its beginning."""
    ratio: float
    """Frames of the mel for one of the recording: above 1, it is slower."""
    jumps: tuple[tuple[int, int], ...]
    """Frame of the recording, and frames that the mel repeats there (lacks, if negative)."""
    straight: bool
    """Whether offset, ratio and jumps are all there is: no tempo of its own."""

    @classmethod
    def identity(cls, own: Tensor) -> "Timing":
        """The timing of a mel whose frames are those of the recording. Shape: [M, F]."""
        return cls(torch.arange(own.shape[1]), 1.0, _active(own), 0.0, 1.0, (), True)


def align(given: Tensor, own: Tensor) -> Timing:
    """Align a mel with that of the recording, both in nepers: shifted, or warped by DTW.

    Raises ConfigError if that takes librosa and it is not installed. Shape: [M, F'], [M, F].
    """
    given, own = _limited(given), _limited(own)
    active = _active(own)
    lag, correlation = best_lag(given, own)
    if correlation > _SAME and abs(given.shape[1] - own.shape[1]) <= _LAGS:
        index = (torch.arange(own.shape[1]) + lag).clamp(0, given.shape[1] - 1)
        like = _resemblance(given[:, index], own, active)
        return Timing(index, like, active, float(lag), 1.0, (), True)
    index = _warped(given, own)
    return _described(index, _resemblance(given[:, index], own, active), active)


def _active(own: Tensor) -> Tensor:
    loudness = own.exp().mean(0).log()
    return loudness > loudness.max() - _QUIET


def _limited(nepers: Tensor) -> Tensor:
    return nepers.clamp_min(float(nepers.max()) - _DEPTH)


def _correlation(one: Tensor, other: Tensor) -> float:
    """Correlation of two mels of one length, without the means of the bands."""
    one, other = (x - x.mean(1, keepdim=True) for x in (one, other))
    norm = one.norm() * other.norm()
    return float((one * other).sum() / norm) if norm else 0.0


def best_lag(given: Tensor, own: Tensor) -> tuple[int, float]:
    """Frames by which a mel is late, among lags of up to 12, and its correlation then.

    Shape: [M, F'], [M, F].
    """
    best = (0, -1.0)
    for lag in sorted(range(-_LAGS, _LAGS + 1), key=abs):
        late, early = given[:, max(lag, 0) :], own[:, max(-lag, 0) :]
        frames = min(late.shape[1], early.shape[1])
        if frames >= 0.7 * own.shape[1]:
            value = _correlation(late[:, :frames], early[:, :frames])
            if value > best[1] + 1e-3:
                best = lag, value
    return best


def _envelopes(nepers: Tensor) -> Tensor:
    """Cosine coefficients of the frames, without harmonics: the first is the level. → [K, F]."""
    bands = nepers.shape[0]
    order = torch.arange(min(_COEFFICIENTS, bands))[:, None]
    cosines = torch.cos(torch.pi / bands * order * (torch.arange(bands) + 0.5))
    return cosines @ nepers / bands


def _resemblance(aligned: Tensor, own: Tensor, active: Tensor) -> float:
    """Correlation of the envelopes of two mels of one length, where there is sound."""
    one, other = (_envelopes(x)[1:, active] for x in (aligned, own))
    return _correlation(one, other)


def _features(nepers: Tensor) -> NDArray[np.float32]:
    """Envelopes of a deviation that is about 1, for distances. Shape: [M, F] → [K, F]."""
    features = _envelopes(nepers - nepers.mean(1, keepdim=True))
    return np.asarray((features / features.std().clamp_min(1e-6)).numpy(), dtype=np.float32)


def _warped(given: Tensor, own: Tensor) -> Tensor:
    """The frame of the mel for each frame of the recording, by dynamic time warping."""
    try:
        import librosa
    except ImportError as error:
        raise ConfigError(
            "the mel and the recording differ in timing, and aligning them needs librosa: "
            "pip install 'vocoder[eval]'"
        ) from error
    one, other = _features(given), _features(own)
    distance = np.sqrt(((other[:, :, None] - one[:, None, :]) ** 2).sum(0))
    steps = np.array([[1, 1], [0, 1], [1, 0]], dtype=np.uint32)
    detour = _DETOUR * float(np.median(distance))
    _, path = librosa.sequence.dtw(
        C=distance,
        subseq=given.shape[1] > own.shape[1],  # its pauses before and after may be longer
        step_sizes_sigma=steps,
        weights_add=np.array([0.0, detour, detour]),
    )
    # Of several frames for one of the recording, the one that is most like it.
    index = np.zeros(own.shape[1], dtype=np.int64)
    farthest_first = path[np.argsort(-distance[path[:, 0], path[:, 1]], kind="stable")]
    index[farthest_first[:, 0]] = farthest_first[:, 1]
    return torch.from_numpy(index)


def _described(index: Tensor, resemblance: float, active: Tensor) -> Timing:
    """The times of aligned frames as an offset, a ratio and jumps."""
    frames = torch.nonzero(active)[:, 0]
    first, last = int(frames[0]), int(frames[-1])
    place = torch.arange(len(index), dtype=torch.float64)
    delay = index.double() - place
    found = _fitted(delay, place, (first, last))
    jumps = () if found.straight else _jumps(delay, first, last)
    for frame, size in jumps:
        delay[frame:] -= size
    if jumps:
        found = _fitted(delay, place, (first, last), share=0.75)
    return Timing(
        index,
        resemblance,
        active,
        found.offset,
        1.0 + found.slope,
        jumps if found.straight else (),
        found.straight,
    )


class _Line(NamedTuple):
    slope: float
    offset: float
    straight: bool


def _fitted(delay: Tensor, place: Tensor, span: tuple[int, int], *, share: float = 0.9) -> _Line:
    """The line through the delays of a span of frames, and whether a share of them lies on it."""
    x, y = (each[span[0] : span[1] + 1] for each in (place, delay))
    slope = _slope(x, y)
    offset = float((y - slope * x).median())
    residual = (y - slope * x - offset).abs()
    return _Line(slope, offset, float(residual.quantile(share)) <= _STRAIGHT)


def _slope(x: Tensor, y: Tensor) -> float:
    """Slope of a line through points, by the median of the slopes between distant points."""
    half = len(x) // 2
    if half < 8:
        return 0.0
    return float(((y[half:] - y[:-half]) / (x[half:] - x[:-half])).median())


def _jumps(delay: Tensor, first: int, last: int) -> tuple[tuple[int, int], ...]:
    """Places between pauses where the mel repeats or lacks frames, and how many."""
    plateaus: list[tuple[int, int, int]] = []  # first frame, end, delay
    begin, delays = first, [*map(int, delay.tolist())]
    for frame in range(first + 1, last + 2):
        if frame > last or delays[frame] != delays[begin]:
            if frame - begin >= _PLATEAU:
                plateaus.append((begin, frame, delays[begin]))
            begin = frame
    found = []
    for (_, end, before), (start, _, after) in pairwise(plateaus):
        size = after - before
        if abs(size) >= _JUMP and start - end <= abs(size) + _PLATEAU:
            found.append(((end + start) // 2, size))
    return tuple(found)
