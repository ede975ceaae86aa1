"""High-frequency energy: too much or too little, and low-passes that come suddenly."""

import torch
from torch import Tensor

from vocoder.evaluation.artefacts.analysis import Analysis, Pair, decibels, runs
from vocoder.evaluation.artefacts.artefact import Artefact

_FROM = 4000.0  # Hz
_BANDS = 6
_EDGE = 0.97  # of Nyquist; above, converters and resamplers roll off
_HIGHEST = 19000.0  # Hz; above, codecs save their bits, and hardly anybody hears it
_WINDOW = 0.25  # seconds
_LOUD = 25.0  # dB below the loudest window of a band
_LOWEST_LEVEL = -80.0  # dBFS; what is quieter in both is not judged
_INAUDIBLE = 55.0  # dB below the loud frames, nor is this
_WRONG = 6.0  # dB, over the recording
_SUDDEN = 12.0  # dB in a window, beyond what is wrong over the recording
_CUTOFF = 35.0  # dB that the spectrum falls within 500 Hz at the edge of a low-pass
_LOWEST_CUTOFF = 3000.0  # Hz
_CUTOFF_SHARE = 0.85  # of Nyquist; a higher cutoff is that of a converter


def find_high_band(pair: Pair) -> list[Artefact]:
    """Bands above 4 kHz that are 6 dB off over the recording, or 12 dB more in a quarter second.

    Six equal bands from 4 kHz to 0.97 times Nyquist, at most 19 kHz, are compared with the
    reference's in windows of 0.25 s, where one of both is within 25 dB of the band's loudest, above
    -80 dBFS and within 55 dB of the loud frames. The level is the
    median difference in dB, over neighbouring bands their mean. Without a reference, a low-pass is
    reported: a spectrum that falls by 35 dB within 500 Hz, between 3 kHz and 0.85 times Nyquist.
    """
    if pair.estimate.sample_rate / 2 * _EDGE < 1.25 * _FROM:
        return []
    if pair.reference is None:
        return _cutoff(pair.estimate)
    difference, judged = _difference(pair.estimate, pair.reference)
    edges = _edges(pair.estimate)
    middle = torch.zeros(_BANDS)
    for band in range(_BANDS):
        if bool(judged[band].any()):
            middle[band] = difference[band, judged[band]].median()
    found = []
    for sign, words in ((1.0, "strong"), (-1.0, "weak")):
        for first, last in runs(sign * middle >= _WRONG):
            level = float(middle[first:last].mean())
            text = f"{abs(level):.0f} dB too {words} over the recording"
            found.append(
                _artefact(edges[first], edges[last], 0.0, pair.estimate.seconds, level, text)
            )
    even = middle.abs() < _WRONG  # the others have been told
    beyond = torch.where(judged & even[:, None], difference - middle[:, None], 0.0)
    return found + _sudden(beyond, pair.estimate)


def _sudden(beyond: Tensor, estimate: Analysis) -> list[Artefact]:
    """Windows in which two bands or more suddenly are too weak or too strong."""
    found = []
    edges, seconds = _edges(estimate), estimate.seconds
    window = _frames(estimate) * estimate.frame_seconds
    for sign, words in ((1.0, "strong"), (-1.0, "weak")):
        wrong = sign * beyond >= _SUDDEN
        for first, last in runs(wrong.sum(0) >= 2):
            bands = wrong[:, first:last].any(1).nonzero()[:, 0].tolist()
            begin, end = first * window, min(last * window, seconds)
            level = float(beyond[:, first:last][wrong[:, first:last]].mean())
            text = f"suddenly {abs(level):.0f} dB too {words} from {begin:.2f} to {end:.2f} s"
            found.append(_artefact(edges[bands[0]], edges[bands[-1] + 1], begin, end, level, text))
    return found


def _edges(signal: Analysis) -> list[float]:
    """Limits of the bands in Hz."""
    top = min(_EDGE * signal.sample_rate / 2, _HIGHEST)
    return [float(hz) for hz in torch.linspace(_FROM, top, _BANDS + 1)]


def _difference(estimate: Analysis, reference: Analysis) -> tuple[Tensor, Tensor]:
    """Difference in dB of each band and window, and whether it is judged. Shape: [6, W], [6, W]."""
    own, theirs = _levels(reference), _levels(estimate)
    audible = torch.maximum(own, theirs) > max(_LOWEST_LEVEL, reference.active_level - _INAUDIBLE)
    loud = torch.maximum(own, theirs) > own.amax(1, keepdim=True) - _LOUD
    return theirs - own, audible & loud


def _frames(signal: Analysis) -> int:
    """Frames in a window."""
    return max(1, round(_WINDOW / signal.frame_seconds))


def _levels(signal: Analysis) -> Tensor:
    """Level of each band in each window in dBFS. Shape: [6, W]."""
    bins = [round(hz / signal.bin_hz) for hz in _edges(signal)]
    bands = torch.stack([signal.power[:, a:b].sum(1) for a, b in zip(bins, bins[1:], strict=False)])
    return decibels(
        torch.stack([part.mean(1) for part in torch.split(bands, _frames(signal), 1)], 1) / 3.0
    )


def _cutoff(signal: Analysis) -> list[Artefact]:
    """The edge of a low-pass in the spectrum of the whole recording."""
    mean = decibels(signal.power.mean(0))
    reach = round(250.0 / signal.bin_hz)
    drop = mean[: -2 * reach] - mean[2 * reach :]
    first = round(_LOWEST_CUTOFF / signal.bin_hz)
    last = int(_CUTOFF_SHARE * signal.sample_rate / 2 / signal.bin_hz)
    steepest = first + int(drop[first:last].argmax())
    level, hz = float(drop[steepest]), (steepest + reach) * signal.bin_hz
    # A note ends like this, too; above a low-pass nothing comes.
    above = float(mean[steepest + 2 * reach :].max())
    if level < _CUTOFF or above > float(mean[steepest]) - _CUTOFF + 6.0:
        return []
    text = f"cut off: the spectrum falls by {level:.0f} dB at {hz / 1e3:.1f} kHz"
    return [_artefact(hz, signal.sample_rate / 2, 0.0, signal.seconds, -level, text)]


def _artefact(
    low: float, high: float, begin: float, end: float, level: float, text: str
) -> Artefact:
    return Artefact(
        detector="high_band",
        begin=begin,
        end=end,
        low_hz=low,
        high_hz=high,
        level=level,
        unit="dB",
        words=f"the band from {low / 1e3:.1f} to {high / 1e3:.1f} kHz is {text}",
    )
